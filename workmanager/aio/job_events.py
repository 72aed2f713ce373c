"""What happens to jobs as it happens: server-sent events, followed over broken streams and managers that go."""

# Made of workmanager/http/job_events.py by scripts/generate_async_client.py. Do not edit.

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any

from workmanager.aio.transport import AsyncTransport
from workmanager.http.job_events import REOPEN_SECONDS, Change, JobEvent


async def follow_job(transport: AsyncTransport, path: str) -> AsyncIterator[JobEvent]:
    """Yield the events of a job until it has ended.

    Args:
        path: of the stream.

    Raises:
        ClientError: the stream is refused, or no manager answers any more.
    """
    last_id = ""
    told: dict[str, Any] = {}
    while True:
        async with transport.lines(path, headers={"Last-Event-ID": last_id} if last_id else None) as lines:
            async for event in read_events(lines):
                last_id = event["id"] or last_id
                if not event["event"]:
                    continue
                if event["id"] or told.get(event["event"]) != event["data"]:
                    told[event["event"]] = event["data"]
                    yield event
                if event["event"] == "end":
                    return
        await asyncio.sleep(REOPEN_SECONDS)


async def follow_changes(transport: AsyncTransport, params: Mapping[str, str | None]) -> AsyncIterator[Change]:
    """Yield the changes of all jobs, without an end.

    Args:
        params: `queue`, `status` and `label` (`name:value`) choose them.

    Raises:
        ClientError: the stream is refused, or no manager answers any more.
    """
    last_id = ""
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else None
        async with transport.lines("/events", params=params, headers=headers) as lines:
            async for event in read_events(lines):
                last_id = event["id"] or last_id
                if event["event"]:
                    yield event
        await asyncio.sleep(REOPEN_SECONDS)


async def read_events(lines: AsyncIterable[str]) -> AsyncIterator[JobEvent]:
    """Yield events from the lines of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    One without a name and data only tells the id to go on behind.
    """
    fields: dict[str, str] = {}
    async for line in lines:
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
