"""The log of every program: one line per event, whatever names stand in it."""

import subprocess
import sys

PROGRAM = """
import logging
from processes.logs import configure_logging

configure_logging()
evil = "a\\x1b[31m\\x9b2J\\r\\x7f\\udcff\\n2026-01-01T00:00:00.000Z INFO forged event=all_is_well"
logging.warning("event=job_failed job_id=%s", evil)
logging.info("event=queue_paused queue=%s", "größe 字")
try:
    raise ValueError(evil)
except ValueError:
    logging.exception("event=task_crashed")
"""


def test_names_make_no_line_and_control_no_terminal() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    lines = ran.stderr.decode().rstrip("\n").split("\n")
    assert [line for line in lines if not line.isprintable()] == []
    failed, paused, crashed, header = lines[:4]
    assert failed.endswith(
        r"job_id=a\x1b[31m\x9b2J\r\x7f\udcff\n2026-01-01T00:00:00.000Z INFO forged event=all_is_well"
    )
    assert paused.endswith("event=queue_paused queue=größe 字")
    assert crashed.endswith("event=task_crashed")
    assert header == "Traceback (most recent call last):", "a traceback keeps its lines"
