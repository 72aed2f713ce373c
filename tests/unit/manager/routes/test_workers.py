"""A worker is told to drain over whichever shard answers."""

from typing import Any, cast

import pytest
from fastapi import Request

from jobqueue.errors import ShardUnavailable
from jobqueue.workers.registry import WorkerView
from manager.http.asgi import FIELDS
from manager.http.request_origin import PROXIES, REQUEST_ID, TrustedProxies
from manager.queue.connection import QueueConnection
from manager.routes.workers import WorkerRoutes


class Shard:
    """Stands for a shard; `told` has the workers that were told something over it."""

    def __init__(self, *, is_away: bool = False) -> None:
        self.is_away = is_away
        self.told: list[object] = []

    async def run(self, _: object, worker: str, *__: object, **___: object) -> int:
        if self.is_away:
            raise ShardUnavailable("it does not answer")
        self.told.append(worker)
        return 1


class Queue:
    """Stands for the connection to a queue that has one worker."""

    service = overview = property(lambda self: self)

    def __init__(self, *shards: Shard) -> None:
        self.shards = shards

    async def workers(self) -> list[WorkerView]:
        return [WorkerView("rack/7", "h", 1, ("*",), "idle", 1, 0, 0, 0, "", "", None, None, 1.0, native=True)]


async def drain(*shards: Shard) -> int:
    scope: dict[str, Any] = {"type": "http", "query_string": b"", "path_params": {"name": "rack/7"}, FIELDS: {}}
    scope |= {PROXIES: TrustedProxies(()), REQUEST_ID: b"abc"}
    routes = WorkerRoutes(cast(QueueConnection, Queue(*shards)))
    return (await routes.drain(Request(scope))).status_code


async def test_a_worker_is_told_over_the_first_shard_that_answers() -> None:
    away, one, other = Shard(is_away=True), Shard(), Shard()
    assert await drain(away, one, other) == 200
    assert (one.told, other.told) == (["rack/7"], [])


async def test_that_no_shard_answers_is_told() -> None:
    with pytest.raises(ShardUnavailable):
        await drain(Shard(is_away=True), Shard(is_away=True))
