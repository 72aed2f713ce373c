"""Calls of one script that are made at the same time go in one write: each costs less than one that goes alone."""

import asyncio
from collections.abc import Sequence
from typing import Any

from jobqueue.sharding.scripts import Script
from jobqueue.sharding.shard import Shard

Arguments = Sequence[str | bytes | int | float]


class CombinedCalls:
    """Collects the calls that are made before the event loop comes round, and sends them together.

    If the sender of one of them is cancelled, the calls are sent all the same.
    """

    def __init__(self, shard: Shard, script: Script) -> None:
        self._shard = shard
        self._script = script
        self._waiting: list[tuple[Arguments, asyncio.Future[Any]]] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self, *args: str | bytes | int | float) -> Any:
        """Run the script; it adds data. Return its reply once that survives the loss of the master.

        Raises:
            JobQueueError: as `Shard.run`.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((args, answer))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._send)
        return await answer

    def _send(self) -> None:
        calls, self._waiting = self._waiting, []
        task = asyncio.create_task(self._run(calls))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _run(self, calls: Sequence[tuple[Arguments, asyncio.Future[Any]]]) -> None:
        try:
            replies = await self._shard.run_together(self._script, [args for args, _ in calls], replicate=True)
        except Exception as error:  # noqa: BLE001  # Whatever it is, those who wait for it raise it.
            replies = [error] * len(calls)
        for (_, answer), reply in zip(calls, replies, strict=True):
            if answer.done():
                continue  # Its sender was cancelled.
            if isinstance(reply, Exception):
                answer.set_exception(reply)
            else:
                answer.set_result(reply)
