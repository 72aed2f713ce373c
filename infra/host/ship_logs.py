"""Ship the journal of this host's units to a CloudWatch Logs stream, every few seconds and once more at the end.

The environment has LOG_GROUP and LOG_STREAM. The journal's cursor is saved after each batch: after a crash, lines are
repeated but none is lost.
"""

import json
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

log = logging.getLogger("ship_logs")

UNITS = ("workmanager-*", "cloud-final.service")
CURSOR_FILE = Path("/var/lib/misc/workmanager-logs.cursor")
PAUSE_SECONDS = 10.0
BATCH_EVENTS = 1_000
EVENT_CHARACTERS = 16_000
"""CloudWatch takes 1 MiB in one call, and counts UTF-8 bytes; a longer line is cut."""
BATCH_CHARACTERS = 240_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Events as PutLogEvents takes them, and the journal's cursor after the last one."""

    events: list[dict[str, Any]]
    cursor: str


def main() -> None:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    logs = boto3.client("logs")
    group, stream = os.environ["LOG_GROUP"], os.environ["LOG_STREAM"]
    while True:
        is_last = stopping.wait(PAUSE_SECONDS)
        try:
            while _ship(logs, group, stream):
                pass
        except (BotoCoreError, ClientError, OSError) as error:
            log.warning("event=logs_delayed reason=%s: retried with the next batch", error)
        if is_last:
            return


def _ship(logs: Any, group: str, stream: str) -> bool:
    """Ship one batch. Return whether there was one."""
    cursor = CURSOR_FILE.read_text() if CURSOR_FILE.exists() else ""
    batch = parse_journal(_journal_after(cursor))
    if batch is None:
        return False
    call = {"logGroupName": group, "logStreamName": stream, "logEvents": batch.events}
    try:
        logs.put_log_events(**call)
    except logs.exceptions.ResourceNotFoundException:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        logs.put_log_events(**call)
    CURSOR_FILE.write_text(batch.cursor)
    return True


def _journal_after(cursor: str) -> list[str]:
    command = ["journalctl", "--output=json", "--no-pager", *(f"--unit={unit}" for unit in UNITS)]
    if cursor:
        command.append(f"--after-cursor={cursor}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as journal:
        assert journal.stdout is not None
        lines = [line for line, _ in zip(journal.stdout, range(BATCH_EVENTS), strict=False)]
        journal.terminate()
    return lines


def parse_journal(lines: Iterable[str]) -> Batch | None:
    """Return the entries of `journalctl --output=json` that fit into one call, by time; None if there are none."""
    events: list[dict[str, Any]] = []
    cursor, characters = "", 0
    for line in lines:
        entry = json.loads(line)
        # A message that is not UTF-8 is a list of byte values.
        raw = entry.get("MESSAGE") or " "
        message = (raw if isinstance(raw, str) else bytes(raw).decode(errors="replace"))[:EVENT_CHARACTERS]
        if events and characters + len(message) > BATCH_CHARACTERS:
            break
        events.append({"timestamp": int(entry["__REALTIME_TIMESTAMP"]) // 1000, "message": message})
        cursor, characters = entry["__CURSOR"], characters + len(message)
    events.sort(key=lambda event: event["timestamp"])
    return Batch(events, cursor) if events else None


if __name__ == "__main__":
    main()
