"""What tells a worker to leave: a signal, or the end of the system that it belongs to."""

import asyncio
import os
import signal
from contextlib import suppress

LIFELINE_GRACE_SECONDS = 5.0


def listen_for_summons(grace_seconds: float, lifeline_fd: int | None) -> asyncio.Queue[float]:
    """Listens for SIGTERM and SIGINT, and for the end of the lifeline, in the running loop.

    Args:
        grace_seconds: how long running jobs may go on after a signal.
        lifeline_fd: the read end of a pipe; its end of file means that the whole system has gone.

    Returns:
        a queue that gets, for each summons, the seconds that running jobs may go on.
    """
    summons: asyncio.Queue[float] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, summons.put_nowait, grace_seconds)
    if lifeline_fd is not None:
        os.set_blocking(lifeline_fd, False)
        loop.add_reader(lifeline_fd, _read_lifeline, loop, lifeline_fd, summons)
    return summons


def _read_lifeline(loop: asyncio.AbstractEventLoop, fd: int, summons: asyncio.Queue[float]) -> None:
    with suppress(BlockingIOError, InterruptedError):
        if os.read(fd, 4096) == b"":
            loop.remove_reader(fd)
            summons.put_nowait(LIFELINE_GRACE_SECONDS)
