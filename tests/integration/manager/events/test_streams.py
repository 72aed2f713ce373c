"""Streams of `/events` on real servers: failovers, lost changes and slow readers."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from fastapi import Request
from starlette.responses import StreamingResponse

from jobqueue import keys
from jobqueue.errors import JobQueueError
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.api_keys.table import KeyTable
from manager.events import subscriptions
from manager.metrics.requests import Metrics
from manager.queue.connection import QueueConnection
from manager.queue.service import QueueService
from manager.routes import events
from manager.routes.events import EventRoutes
from tests.integration.jobqueue.queue_helpers import enqueue_jobs, master_port_of
from workmanager.local.valkey_cluster import ValkeyCluster


class Stream:
    """The events of one stream, as its client would read them."""

    def __init__(self, response: StreamingResponse) -> None:
        self._pieces = cast(AsyncIterator[bytes], response.body_iterator)
        self._events: list[tuple[str, Any]] = []

    async def next(self) -> tuple[str, Any]:
        """Return name and data of the next event."""
        async with asyncio.timeout(60):
            while not self._events:
                for text in (await anext(self._pieces)).decode().split("\n\n"):
                    fields = dict(line.split(": ", 1) for line in text.splitlines() if not line.startswith(":"))
                    if "event" in fields:
                        self._events.append((fields["event"], json.loads(fields["data"])))
        return self._events.pop(0)

    async def next_piece(self) -> bytes:
        """Return what comes next, as it is sent."""
        async with asyncio.timeout(60):
            return await anext(self._pieces)

    async def close(self) -> None:
        """Leave."""
        await self._pieces.aclose()  # type: ignore[attr-defined]  # it is a generator


class _Queue:
    """What the route uses of the connection."""

    def __init__(self, service: QueueService) -> None:
        self.service = service


@contextlib.asynccontextmanager
async def opened(service: QueueService, metrics: Metrics | None = None) -> AsyncIterator[Stream]:
    """Open a stream, and read its snapshot."""
    routes = EventRoutes(cast(QueueConnection, _Queue(service)), KeyTable(), metrics or Metrics())
    response = await routes.show(Request({"type": "http", "query_string": b"", "headers": []}))
    stream = Stream(cast(StreamingResponse, response))
    assert (await stream.next())[0] == "snapshot"
    yield stream
    await stream.close()


@pytest.fixture
async def service(redis_url: str) -> AsyncIterator[QueueService]:
    connected = QueueService(await Shards.connect(redis_url))
    yield connected
    await connected.close()


async def _enqueue(shard: Shard, job_id: str) -> None:
    while True:
        with contextlib.suppress(JobQueueError):
            await enqueue_jobs(shard, job_id)
            return
        await asyncio.sleep(0.1)


async def test_a_stream_follows_a_shard_to_its_new_master(cluster: ValkeyCluster) -> None:
    service = QueueService(await Shards.connect(cluster.url))
    shards = service.shards
    async with opened(service) as stream:
        victim = cluster.masters()[0]
        shard = next(shard for shard in shards if master_port_of(shards, shard) == victim.port)
        await enqueue_jobs(shard, "before")
        assert (await stream.next())[1]["id"] == "before"
        await asyncio.to_thread(victim.kill)
        await _enqueue(shard, "after")
        name, data = await stream.next()
        # A new master that has not got the last change cannot tell what is missing.
        while name != "status":
            assert name in ("gap", "snapshot")
            name, data = await stream.next()
        assert data["id"] == "after"
    await service.close()


async def test_a_stream_on_which_nothing_happens_is_kept_alive_with_its_position(
    service: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(events, "PING_SECONDS", 0.1)
    async with opened(service) as stream:
        for _ in range(2):
            assert re.fullmatch(rb": ping\nid: \S+\n\n", await stream.next_piece())


async def test_changes_that_nobody_wrote_down_are_a_gap(service: QueueService) -> None:
    (shard,) = service.shards
    async with opened(service) as stream:
        # As after an outage that was longer than what a manager has asked for.
        await shard.execute(("DEL", keys.watched(shard.prefix)))
        await enqueue_jobs(shard, "unwritten")
        assert (await stream.next())[0] == "gap"
        name, snapshot = await stream.next()
        assert (name, snapshot["queues"]) == ("snapshot", {"default": {"queued": 1}})
        await enqueue_jobs(shard, "written")
        assert (await stream.next())[1]["id"] == "written"


async def test_a_client_that_reads_too_slowly_is_told_so(
    service: QueueService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "MAX_UNSENT_BYTES", 1000)
    (shard,) = service.shards
    metrics = Metrics()
    async with opened(service, metrics) as stream, opened(service, metrics) as other:
        assert metrics.streams == 2
        await enqueue_jobs(shard, *(f"job-{number}" for number in range(20)))
        names = [(await other.next())[0]]
        assert names == ["dropped"]
        assert (await stream.next())[0] == "dropped"
        with pytest.raises(StopAsyncIteration):
            await stream.next()
    assert metrics.streams == 0
