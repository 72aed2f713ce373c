"""Processes that an ended executor has left behind: the agent inherits them, and ends them.

Killing an executor kills its process group. A process that a job has moved to a session of its own survives that.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

from processes.descendants import become_subreaper, children_of, kill_children

RETRY_SECONDS = 0.02


class OrphanReaper:
    """Ends all children of the agent that are not executors, from `run` on."""

    def __init__(self) -> None:
        self._inherits = False
        # A shell can have started others before it became this program.
        self._kept = set(children_of(os.getpid()))
        self._starting = 0
        self._executor_ended = asyncio.Event()

    @contextmanager
    def starting(self) -> Iterator[None]:
        """While an executor is started, end nothing: its process id is not known yet."""
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1

    def add(self, pid: int) -> None:
        """Let an executor live."""
        self._kept.add(pid)

    def discard(self, pid: int) -> None:
        """Note that an executor has ended, and end what it has left behind."""
        self._kept.discard(pid)
        self._executor_ended.set()

    async def run(self) -> None:
        """Inherit orphans, and end them until cancelled."""
        self._inherits = become_subreaper()
        while True:
            await self._executor_ended.wait()
            self._executor_ended.clear()
            await self.end_all()

    async def end_all(self) -> None:
        """End all orphans; return when there are none."""
        while self._inherits and (self._starting or kill_children(self._kept)):  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(RETRY_SECONDS)
