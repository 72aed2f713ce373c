"""The main process's side: it starts the siblings, starts them again if they end or hang, and stops them."""

import asyncio
import logging
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from jobqueue.backoff import exponential_seconds
from manager.metrics.counted import Counted
from manager.siblings.channel import Channel, NoAnswer
from manager.siblings.group import ProcessGroup

MIN_RESTART_SECONDS, MAX_RESTART_SECONDS = 0.5, 30.0
"""Pause before a sibling that has ended is started again. It doubles while siblings end within the longest pause."""
COUNTS_SECONDS = 1.0
"""How long a scrape waits for a sibling's counts; after that, those of the last scrape are taken."""
ALIVE_PAUSE_SECONDS, ALIVE_SECONDS = 5.0, 5.0
"""Pause between two questions to a sibling whether it is alive, and how long it may take to answer one."""
MAX_UNANSWERED = 3
"""After so many of these questions in a row without an answer, a sibling hangs, and is killed."""
STOP_SECONDS = 30.0
"""How long siblings get to stop; more than the manager's running requests get."""

log = logging.getLogger(__name__)


class MainProcess(ProcessGroup):
    """This process is the main one.

    Args:
        size: processes, with this one; at least 2.
        listener: the socket that all of them serve.
        arguments: of this program. Siblings get them, too.
        inherited: further descriptors that the arguments name.
    """

    def __init__(self, size: int, listener: socket.socket, arguments: Sequence[str], inherited: Sequence[int]) -> None:
        super().__init__()
        self.size = size
        self._places = [_Place(self, number, arguments, (listener.fileno(), *inherited)) for number in range(1, size)]
        self.stopping = asyncio.Event()

    async def start(self) -> None:
        for place in self._places:
            place.start()

    def stop_others(self) -> None:
        self.stopping.set()
        for place in self._places:
            place.send(signal.SIGTERM)

    async def close(self) -> None:
        self.stop_others()
        await asyncio.gather(*(place.end() for place in self._places))

    async def counted_by_others(self) -> Counted:
        total = Counted()
        for counted in await asyncio.gather(*(place.counted() for place in self._places)):
            total.add(counted)
        return total


class _Place:
    """The place of a sibling: of one process after another."""

    def __init__(self, group: MainProcess, number: int, arguments: Sequence[str], inherited: tuple[int, ...]) -> None:
        self._group = group
        self._number = number
        self._arguments = arguments
        self._inherited = inherited
        self._process: Process | None = None
        self._channel: Channel | None = None
        self._task: asyncio.Task[None] | None = None
        self._of_ended = Counted()
        """What the processes have counted that have ended, as far as they were asked."""
        self._of_this: dict[str, Any] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def end(self) -> None:
        """Wait until the process has ended, and kill it if it takes too long."""
        if self._task is None:
            return
        _, late = await asyncio.wait([self._task], timeout=STOP_SECONDS)
        if late:
            pid = None if self._process is None else self._process.pid
            log.warning("event=manager_process_killed number=%d pid=%s reason=did_not_stop", self._number, pid)
            self.send(signal.SIGKILL)
            await self._task

    async def counted(self) -> Counted:
        """Return what all processes of this place have counted, as far as they answer or have answered before."""
        if self._channel is not None:
            with suppress(NoAnswer):
                self._of_this = await self._channel.ask("counted", seconds=COUNTS_SECONDS)
        total = Counted()
        total.add(self._of_ended)
        if self._of_this is not None:
            total.add(Counted.from_json(self._of_this))
        return total

    async def _run(self) -> None:
        early_ends = 0
        while not self._group.stopping.is_set():
            started = time.monotonic()
            try:
                await self._run_process()
            except OSError as error:
                log.error("event=manager_process_not_started number=%d error=%r", self._number, str(error))
            if time.monotonic() - started > MAX_RESTART_SECONDS:
                early_ends = 0
            pause = exponential_seconds(early_ends, MIN_RESTART_SECONDS, MAX_RESTART_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._group.stopping.wait(), pause)
            early_ends += 1

    async def _run_process(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = process = await self._start_process(theirs.fileno())
            except BaseException:
                ours.close()
                raise
        if self._group.stopping.is_set():
            self.send(signal.SIGTERM)
        self._channel = Channel(ours, self._group.answerers, lambda: None)
        watching = asyncio.create_task(self._kill_if_it_hangs(self._channel, process.pid))
        try:
            await self._channel.start()
            code = await process.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self._channel.close()
            self._channel = None
        if self._of_this is not None:
            self._of_ended.add(Counted.from_json(self._of_this).after_the_end())
            self._of_this = None
        if not self._group.stopping.is_set():
            log.error("event=manager_process_exited number=%d pid=%d code=%d", self._number, process.pid, code)

    async def _kill_if_it_hangs(self, channel: Channel, pid: int) -> None:
        """Kill the process once it hangs: it holds connections that nobody serves, and nothing else would end it."""
        unanswered = 0
        while unanswered < MAX_UNANSWERED:
            await asyncio.sleep(ALIVE_PAUSE_SECONDS)
            if not channel.is_open:
                continue  # It still starts, or has ended.
            try:
                await channel.ask("alive", seconds=ALIVE_SECONDS)
                unanswered = 0
            except NoAnswer:
                # Counted, not timed: after a pause of this process itself, the first answer may come too late.
                unanswered += 1
        log.error("event=manager_process_killed number=%d pid=%d reason=hangs", self._number, pid)
        self.send(signal.SIGKILL)

    async def _start_process(self, channel_fd: int) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "manager", *self._arguments),
            *("--sibling-fds", f"{self._inherited[0]},{channel_fd}"),
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal reaches only this process, which stops all in order.
            pass_fds=(*self._inherited, channel_fd),
        )
