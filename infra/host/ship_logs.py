"""Ship the journal of this host's units to a CloudWatch Logs stream, every few seconds and once more at the end.

The environment has LOG_GROUP and LOG_STREAM. The journal's cursor is saved after each batch: after a crash, lines are
repeated but none is lost. Lines that CloudWatch refuses for good are dropped, and the log says so.
"""

import json
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

log = logging.getLogger("ship_logs")

UNITS = ("workmanager-*", "cloud-final.service")
CURSOR_FILE = Path("/var/lib/misc/workmanager-logs.cursor")
PAUSE_SECONDS = 10.0
BATCH_EVENTS = 1_000
EVENT_CHARACTERS = 16_000
"""CloudWatch takes 1 MiB in one call, and counts UTF-8 bytes; a longer line is cut."""
BATCH_CHARACTERS = 240_000
BATCH_MILLISECONDS = 23 * 3_600_000
"""CloudWatch refuses a batch that spans more than 24 hours:
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html"""
REFUSED = "InvalidParameterException"

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """Events as PutLogEvents takes them, by time, and the journal's cursor after the last one."""

    events: list[Event]
    cursor: str


def main() -> None:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    logs: Any = None
    while True:
        is_last = stopping.wait(PAUSE_SECONDS)
        try:
            # A client that found no credentials when it was made never looks for them again.
            logs = logs or boto3.client("logs")
            while _ship(logs, os.environ["LOG_GROUP"], os.environ["LOG_STREAM"]):
                pass
        except (BotoCoreError, ClientError, OSError) as error:
            log.warning("event=logs_delayed reason=%s: retried with the next batch", error)
            if isinstance(error, NoCredentialsError):
                logs = None
        if is_last:
            return


def _ship(logs: Any, group: str, stream: str) -> bool:
    """Ship one batch. Return whether there was one."""
    cursor = CURSOR_FILE.read_text() if CURSOR_FILE.exists() else ""
    batch = parse_journal(_journal_after(cursor))
    if batch is None:
        return False
    for events in batches_by_time(batch.events):
        ship_events(lambda events: _put(logs, group, stream, events), events)
    CURSOR_FILE.write_text(batch.cursor)
    return True


def _put(logs: Any, group: str, stream: str, events: Sequence[Event]) -> None:
    call = {"logGroupName": group, "logStreamName": stream, "logEvents": events}
    try:
        answer = logs.put_log_events(**call)
    except logs.exceptions.ResourceNotFoundException:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        answer = logs.put_log_events(**call)
    if rejected := answer.get("rejectedLogEventsInfo"):
        # Older than two weeks, or than the group keeps; or from the future, by a clock that was wrong.
        log.warning("event=logs_rejected events=%s reason='their time: %s'", len(events), rejected)


def ship_events(put: Callable[[Sequence[Event]], None], events: Sequence[Event]) -> None:
    """Ship events. If CloudWatch refuses them for what they are, find the refused ones by halves, and drop them."""
    try:
        put(events)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != REFUSED:
            raise
        if len(events) == 1:
            log.warning("event=log_dropped timestamp=%s reason='%s'", events[0]["timestamp"], error)
            return
        middle = len(events) // 2
        ship_events(put, events[:middle])
        ship_events(put, events[middle:])


def batches_by_time(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Cut events, which are in the order of their times, into batches of less than a day."""
    batch: list[Event] = []
    for event in events:
        if batch and event["timestamp"] - batch[0]["timestamp"] > BATCH_MILLISECONDS:
            yield batch
            batch = []
        batch.append(event)
    if batch:
        yield batch


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
    events: list[Event] = []
    cursor, characters = "", 0
    for line in lines:
        entry = json.loads(line)
        # A message that is not UTF-8 is a list of byte values.
        raw = entry.get("MESSAGE") or " "
        text = raw if isinstance(raw, str) else bytes(raw).decode(errors="replace")
        # Half of a surrogate pair, which JSON can hold, cannot be sent.
        message = text[:EVENT_CHARACTERS].encode(errors="replace").decode()
        if events and characters + len(message) > BATCH_CHARACTERS:
            break
        events.append({"timestamp": int(entry["__REALTIME_TIMESTAMP"]) // 1000, "message": message})
        cursor, characters = entry["__CURSOR"], characters + len(message)
    events.sort(key=lambda event: event["timestamp"])
    return Batch(events, cursor) if events else None


if __name__ == "__main__":
    main()
