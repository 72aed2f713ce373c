"""`GET /jobs/{id}/explain` while the Redis server of the job is away."""

import json
from types import SimpleNamespace
from typing import Any, cast

from fastapi import Request

from jobqueue.functions import FunctionRegistry
from jobqueue.sharding.shards import Shards
from manager.queue.connection import QueueConnection
from manager.queue.service import QueueService
from manager.routes.explain import ExplainRoute
from scaler.policy import Limits
from workmanager.local.valkey import ValkeyServer


async def test_that_the_shard_does_not_answer_is_an_answer(private_server: ValkeyServer) -> None:
    service = QueueService(await Shards.connect(private_server.url))
    queue = cast("QueueConnection", SimpleNamespace(service=service))
    route = ExplainRoute(queue, FunctionRegistry.discover(()), (), Limits(min_workers=0, max_workers=1))
    private_server.kill()
    scope: dict[str, Any] = {"type": "http", "query_string": b"", "path_params": {"job_id": "a"}}
    answer = await route.explain(Request(scope))
    await service.close()
    explanation = json.loads(bytes(answer.body))
    assert (explanation["status"], explanation["reason"]) == (None, "shard_unavailable")
    assert explanation["sentence"].startswith("The Redis server of the job's shard does not answer")
