"""The life of a job as it happens: server-sent events, followed over broken streams and managers that go."""

# Made of workmanager/http/job_events.py by scripts/generate_async_client.py. Do not edit.

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from workmanager.aio.transport import AsyncTransport
from workmanager.http.job_events import REOPEN_SECONDS, JobEvent


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
                if event["id"] or told.get(event["event"]) != event["data"]:
                    told[event["event"]] = event["data"]
                    yield event
                if event["event"] == "end":
                    return
        await asyncio.sleep(REOPEN_SECONDS)


async def read_events(lines: AsyncIterable[str]) -> AsyncIterator[JobEvent]:
    """Yield events from the lines of a stream (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
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
        else:
            fields = {}
