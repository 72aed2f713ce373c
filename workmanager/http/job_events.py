"""What happens to jobs as it happens: server-sent events, followed over broken streams and managers that go."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from workmanager.http.transport import Transport

Change = Mapping[str, Any]
"""`event` (`snapshot`, `status`, `gap` or `dropped`), `id` and `data`; see docs/watching.md."""
JobEvent = Mapping[str, Any]
"""`event` (`status`, `progress`, `log` or `end`), `id` (None but for log lines) and `data`; see docs/progress.md."""
REOPEN_SECONDS = 1.0


def follow_job(transport: Transport, path: str) -> Iterator[JobEvent]:
    """Yield the events of a job until it has ended.

    Args:
        path: of the stream.

    Raises:
        ClientError: the stream is refused, or no manager answers any more.
    """
    last_id = ""
    told: dict[str, Any] = {}
    while True:
        with transport.lines(path, headers={"Last-Event-ID": last_id} if last_id else None) as lines:
            for event in read_events(lines):
                last_id = event["id"] or last_id
                if not event["event"]:
                    continue
                # A stream begins with the state of the job, also one that is opened again.
                if event["id"] or told.get(event["event"]) != event["data"]:
                    told[event["event"]] = event["data"]
                    yield event
                if event["event"] == "end":
                    return
        time.sleep(REOPEN_SECONDS)


def follow_changes(transport: Transport, params: Mapping[str, str | None]) -> Iterator[Change]:
    """Yield the changes of all jobs, without an end.

    Args:
        params: `queue`, `status` and `label` (`name:value`) choose them.

    Raises:
        ClientError: the stream is refused, or no manager answers any more.
    """
    last_id = ""
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else None
        with transport.lines("/events", params=params, headers=headers) as lines:
            for event in read_events(lines):
                last_id = event["id"] or last_id
                if event["event"]:
                    yield event
        time.sleep(REOPEN_SECONDS)


def read_events(lines: Iterable[str]) -> Iterator[JobEvent]:
    """Yield events from the lines of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    One without a name and data only tells the id to go on behind.
    """
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value
        elif "data" in fields:
            data = json.loads(fields["data"])
            yield {"event": fields.get("event", "message"), "id": fields.get("id"), "data": data}
            fields = {}
        elif "id" in fields:
            yield {"event": "", "id": fields["id"], "data": None}
            fields = {}
        else:
            fields = {}
