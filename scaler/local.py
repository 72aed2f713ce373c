"""The fleet on this machine: each worker a process of this manager's."""

import asyncio
import logging
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress

DRAIN_SECONDS = 10.0
"""How long running jobs may go on when their workers' manager ends; then they are given back."""
HURRY_SECONDS = 5.0
"""How long giving back may take, before a worker is killed."""

log = logging.getLogger(__name__)


class LocalFleet:
    """Starts workers as child processes.

    Args:
        redis_url: where the workers find the queue.
        slots: how many jobs each runs at a time.
        lifeline_fd: read end of a pipe whose other end is held by whoever started everything: its end of file tells the
            workers that nobody is left. None makes one that this process holds.
    """

    def __init__(self, redis_url: str, *, slots: int = 1, lifeline_fd: int | None = None) -> None:
        self.name = f"local:{socket.gethostname()}"
        self._redis_url = redis_url
        self._slots = slots
        self._write_fd: int | None = None
        if lifeline_fd is None:
            lifeline_fd, self._write_fd = os.pipe()
        self._lifeline_fd = lifeline_fd
        self._processes: dict[str, Process] = {}

    async def launch(self, instance_ids: Sequence[str]) -> None:
        """Starts one process for each id that has none."""
        for instance_id in instance_ids:
            if instance_id not in self._processes:
                self._processes[instance_id] = await self._start(instance_id)
        self._forget_ended()

    async def discard(self, instance_ids: Sequence[str]) -> None:
        """Kills the processes of these ids, where they are ours."""
        for instance_id in instance_ids:
            process = self._processes.pop(instance_id, None)
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()

    async def close(self) -> None:
        """Drains the workers that this process started: jobs that take longer than `DRAIN_SECONDS` go back."""
        living = [process for process in self._processes.values() if process.returncode is None]
        # Told once a worker drains, told twice it gives at once back what it runs.
        for patience_seconds in (DRAIN_SECONDS, HURRY_SECONDS):
            living = await _tell_to_leave(living, patience_seconds)
        for process in living:
            log.warning("event=worker_killed pid=%d reason=did_not_drain", process.pid)
            process.kill()
            await process.wait()
        if self._write_fd is not None:
            os.close(self._write_fd)
            os.close(self._lifeline_fd)
            self._write_fd = None

    async def _start(self, instance_id: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "worker_node", "--redis-url", self._redis_url, "--slots", str(self._slots)),
            *("--fleet", self.name, "--instance-id", instance_id, "--lifeline-fd", str(self._lifeline_fd)),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=(self._lifeline_fd,),
            # Ctrl-C in a terminal is for whoever started us; the workers are told to drain in their turn.
            start_new_session=True,
        )
        log.info("event=worker_launched instance_id=%s pid=%d", instance_id, process.pid)
        return process

    def _forget_ended(self) -> None:
        self._processes = {id_: process for id_, process in self._processes.items() if process.returncode is None}


async def _tell_to_leave(processes: Sequence[Process], patience_seconds: float) -> list[Process]:
    """Sends SIGTERM; returns those that have not ended in time."""
    for process in processes:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    if processes:
        ends = [asyncio.ensure_future(process.wait()) for process in processes]
        await asyncio.wait(ends, timeout=patience_seconds)
        for end in ends:
            end.cancel()
    return [process for process in processes if process.returncode is None]
