"""What tells a worker to leave: a signal, or the end of the system that it belongs to."""

import asyncio
import signal

from processes.liveness_pipe import parent_is_gone

PARENT_DEATH_GRACE_SECONDS = 5.0


def listen_for_stop(grace_seconds: float, parent_fd: int | None) -> asyncio.Queue[float]:
    """Listens for SIGTERM and SIGINT, and for the end of the parent process, in the running loop.

    Args:
        grace_seconds: how long running jobs may go on after a signal.
        parent_fd: the read end of a pipe; its end of file means that the whole system has gone.

    Returns:
        a queue that gets, for each summons, the seconds that running jobs may go on.
    """
    summons: asyncio.Queue[float] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, summons.put_nowait, grace_seconds)
    if parent_fd is not None:
        loop.add_reader(parent_fd, _check_parent, loop, parent_fd, summons)
    return summons


def _check_parent(loop: asyncio.AbstractEventLoop, fd: int, summons: asyncio.Queue[float]) -> None:
    if parent_is_gone(fd):
        loop.remove_reader(fd)
        summons.put_nowait(PARENT_DEATH_GRACE_SECONDS)
