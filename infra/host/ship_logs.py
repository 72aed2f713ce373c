"""Copies the journal of this host's units to a stream of CloudWatch Logs, every few seconds and once more at its end.

Reads LOG_GROUP and LOG_STREAM. What has been taken is remembered by the journal's cursor: a crash repeats lines, and
loses none.
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
    """Runs until it is told to end."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    logs = boto3.client("logs")
    group, stream = os.environ["LOG_GROUP"], os.environ["LOG_STREAM"]
    while True:
        last = ending.wait(PAUSE_SECONDS)
        try:
            while _ship(logs, group, stream):
                pass
        except (BotoCoreError, ClientError, OSError) as error:
            log.warning("event=logs_delayed reason=%s: they are sent with the next ones", error)
        if last:
            return


def _ship(logs: Any, group: str, stream: str) -> bool:
    """Sends one batch; whether there was one."""
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
    """The entries of `journalctl --output=json` that fit in one call, in the order of their times; None without any."""
    events: list[dict[str, Any]] = []
    cursor, characters = "", 0
    for line in lines:
        entry = json.loads(line)
        # A message with bytes that are no text is a list of numbers.
        said = entry.get("MESSAGE") or " "
        message = (said if isinstance(said, str) else bytes(said).decode(errors="replace"))[:EVENT_CHARACTERS]
        if events and characters + len(message) > BATCH_CHARACTERS:
            break
        events.append({"timestamp": int(entry["__REALTIME_TIMESTAMP"]) // 1000, "message": message})
        cursor, characters = entry["__CURSOR"], characters + len(message)
    events.sort(key=lambda event: event["timestamp"])
    return Batch(events, cursor) if events else None


if __name__ == "__main__":
    main()
