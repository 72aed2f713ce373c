"""`POST /pullCompleted` and `POST /ackCompleted`: hand out each result to one consumer.

Hot path: see benchmarks/README.md#http_pull.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from pydantic import ValidationError

from jobqueue.lifecycle.pull import PulledResult, PullOrder
from manager.api_keys.table import KeyTable
from manager.http.asgi import UNDELIVERED, Receive, Scope, disconnect_watch, read_json
from manager.http.authentication import check_again
from manager.http.problems import validation_problem
from manager.http.query_parameters import NO_PARAMETERS, Choice, Integer, Number, Query
from manager.metrics.requests import Metrics
from manager.queue.connection import QueueConnection
from manager.queue.long_poll import ANSWER_SECONDS, MAX_WAIT_SECONDS
from manager.queue.service import QueueService
from manager.schemas.acknowledge import MAX_RESULTS, AcknowledgeBody

MAX_LEASE_SECONDS = 24 * 3600
MAX_ACK_BYTES = 2 * 1024 * 1024

QUERY = Query(
    Integer("top", "Maximum number of results", 1, MAX_RESULTS, required=True),
    Choice("order", "Which results come first", ("latest", "oldest"), default="latest"),
    Integer(
        "lease",
        "Seconds within which the results must be acknowledged; otherwise they are handed out again",
        1,
        MAX_LEASE_SECONDS,
    ),
    Number(
        "wait",
        f"Seconds to wait for a result; the answer comes after {ANSWER_SECONDS} at the latest",
        0,
        MAX_WAIT_SECONDS,
        default=0,
    ),
)


class PullRoute:
    """The handler of `POST /pullCompleted`."""

    media_type = b"application/json"

    def __init__(self, queue: QueueConnection, metrics: Metrics, key_table: KeyTable) -> None:
        self._queue = queue
        self._key_table = key_table
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        query = QUERY.parse(scope["query_string"])
        service = self._queue.service
        top: int = query["top"]
        order: PullOrder = query["order"]
        lease_seconds = float(query["lease"] or 0)
        if query["wait"]:
            results = await self._wait(service, scope, receive, (top, order, lease_seconds), query["wait"])
        else:
            results = await service.puller.pull(top, order, lease_seconds)
        if results and not lease_seconds:
            scope[UNDELIVERED] = partial(service.return_results, results)
        self._metrics.results_pulled += len(results)
        return _to_json(results)

    async def _wait(
        self,
        service: QueueService,
        scope: Scope,
        receive: Receive,
        pull_arguments: tuple[int, PullOrder, float],
        seconds: float,
    ) -> list[PulledResult]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(seconds, ANSWER_SECONDS)
        closing = asyncio.create_task(self._queue.closing.wait())
        try:
            async with disconnect_watch(receive) as disconnect:
                with service.result_notifier.subscribed():
                    while True:
                        notification = service.result_notifier.next()
                        # Pull nothing for a client that is gone. One that only sends nothing more gets its answer.
                        if disconnect.done():
                            return []
                        check_again(self._key_table, scope)
                        results = await service.puller.pull(*pull_arguments)
                        remaining_seconds = deadline - loop.time()
                        if results or remaining_seconds <= 0 or closing.done():
                            return results
                        await asyncio.wait(
                            (notification, disconnect, closing),
                            timeout=remaining_seconds,
                            return_when=asyncio.FIRST_COMPLETED,
                        )
        finally:
            closing.cancel()


class AcknowledgeRoute:
    """The handler of `POST /ackCompleted`."""

    media_type = b"application/json"

    def __init__(self, queue: QueueConnection) -> None:
        self._queue = queue

    async def __call__(self, scope: Scope, receive: Receive) -> bytes:
        NO_PARAMETERS.parse(scope["query_string"])
        try:
            body = AcknowledgeBody.model_validate_json(await read_json(scope, receive, MAX_ACK_BYTES))
        except ValidationError as error:
            raise validation_problem(error) from error
        acknowledged = await self._queue.service.operations.acknowledge(body.ids)
        return b'{"acknowledged":%d}' % acknowledged


def _to_json(results: Sequence[PulledResult]) -> bytes:
    # The values are JSON already, so they are copied once and never parsed.
    entries = [b'{"Work ID":"%b","Value":%b}' % (result.job_id.encode(), result.value) for result in results]
    return b"[" + b",".join(entries) + b"]"
