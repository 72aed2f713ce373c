"""Stop signals of a worker: SIGTERM, SIGINT, and the death of the process that started it."""

import asyncio
import signal

from processes.liveness_pipe import parent_is_gone

PARENT_DEATH_GRACE_SECONDS = 5.0
"""How long running jobs may keep running after the parent's death."""


def listen_for_stop(grace_seconds: float, parent_fd: int | None) -> asyncio.Queue[float]:
    """Listen for stop signals in the running event loop.

    Args:
        grace_seconds: how long running jobs may keep running after SIGTERM or SIGINT.
        parent_fd: the end of a liveness pipe that this worker inherited (`processes/liveness_pipe.py`).

    Returns:
        a queue that receives, for each signal, the seconds for which running jobs may keep running.
    """
    stops: asyncio.Queue[float] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stops.put_nowait, grace_seconds)
    if parent_fd is not None:
        loop.add_reader(parent_fd, _check_parent, loop, parent_fd, stops)
    return stops


def _check_parent(loop: asyncio.AbstractEventLoop, fd: int, stops: asyncio.Queue[float]) -> None:
    if parent_is_gone(fd):
        loop.remove_reader(fd)
        stops.put_nowait(PARENT_DEATH_GRACE_SECONDS)
