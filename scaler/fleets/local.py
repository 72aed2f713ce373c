"""The fleet on this machine: each worker a process of this manager's."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from scaler.fleets.fleet import Cause, FleetError, Profile
from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest

DRAIN_SECONDS = 10.0
"""How long running jobs may go on when their workers' manager ends; then they are given back."""
KILL_AFTER_SECONDS = 5.0
"""How long giving back may take, before a worker is killed."""

WORKER_NICE = 15
"""How far the workers' executors stand back for managers and Redis, unless WORKMANAGER_NICE says so (nice(2))."""

PROFILE = Profile(
    boot_seconds=2.0,
    boot_timeout_seconds=30.0,
    min_billed_seconds=0.0,
    min_idle_seconds=10.0,
    poll_seconds=0.0,
    idle_poll_seconds=0.0,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Started:
    process: Process
    token: str
    at: float


class LocalFleet:
    """Starts workers as child processes.

    Args:
        redis_url: where the workers find the queue.
        slots: how many jobs each runs at a time.
        parent_fd: read end of a pipe whose other end is held by whoever started everything: its end of file tells the
            workers that nobody is left. None makes one that this process holds.
    """

    def __init__(self, redis_url: str, *, slots: int = 1, parent_fd: int | None = None) -> None:
        self._host = socket.gethostname()
        self.name = f"local:{self._host}"
        self.profile = replace(PROFILE, slots=slots)
        self._redis_url = redis_url
        self._slots = slots
        self._write_fd: int | None = None
        if parent_fd is None:
            parent_fd, self._write_fd = os.pipe()
        self._parent_fd = parent_fd
        self._launcher = secrets.token_hex(8)
        self._started: dict[str, _Started] = {}

    def plan(self, count: int, living: Collection[Instance], cooling: Collection[str]) -> list[LaunchRequest]:
        """One call for all, that only this process can carry out."""
        return [LaunchRequest(count, arguments={"launcher": self._launcher})]

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        """Starts the intent's processes, once.

        Raises:
            FleetError: the machine starts no more processes; or it is another manager's intent, and whatever that has
                started tells of itself by registering.
        """
        if intent.request.arguments.get("launcher") != self._launcher:
            raise FleetError(
                Cause.TOKEN_EXPIRED, "NotOurs", "the manager that was about to start these processes has gone"
            )
        ids = [f"{intent.token}-{number}" for number in range(intent.request.count)]
        for id_ in ids:
            if id_ not in self._started:
                try:
                    process = await self._start(id_)
                except OSError as error:
                    raise FleetError(Cause.UNKNOWN, "NotStarted", str(error)) from error
                self._started[id_] = _Started(process, intent.token, intent.recorded_at)
        return [self._sighting(id_) for id_ in ids]

    async def describe(self) -> list[DescribedInstance]:
        """The processes of this manager; workers of another are heard of as long as they live."""
        sightings = [self._sighting(id_) for id_ in self._started]
        # An ended one is shown once: should that be lost, its worker is missed before long.
        self._started = {id_: each for id_, each in self._started.items() if each.process.returncode is None}
        return sightings

    async def terminate(self, ids: Sequence[str]) -> Collection[str]:
        """Kills what is left of these, where it is ours."""
        for id_ in ids:
            started = self._started.pop(id_, None)
            if started is not None and started.process.returncode is None:
                started.process.kill()
                await started.process.wait()
        return ids

    async def close(self) -> None:
        """Drains the workers that this process started: jobs that take longer than `DRAIN_SECONDS` go back."""
        living = [each.process for each in self._started.values() if each.process.returncode is None]
        # Told once a worker drains, told twice it gives at once back what it runs.
        for patience_seconds in (DRAIN_SECONDS, KILL_AFTER_SECONDS):
            living = await _tell_to_leave(living, patience_seconds)
        for process in living:
            log.warning("event=worker_killed pid=%d reason=did_not_drain", process.pid)
            process.kill()
            await process.wait()
        if self._write_fd is not None:
            os.close(self._write_fd)
            os.close(self._parent_fd)
            self._write_fd = None

    async def _start(self, instance_id: str) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "worker_node", "--slots", str(self._slots)),
            *("--fleet", self.name, "--instance-id", instance_id, "--name", instance_id),
            *("--parent-fd", str(self._parent_fd)),
            stdin=asyncio.subprocess.DEVNULL,
            # Not on the command line, which every user of the machine can see: there may be a password in it.
            env={"WORKMANAGER_NICE": str(WORKER_NICE), **os.environ, "WORKMANAGER_REDIS_URL": self._redis_url},
            pass_fds=(self._parent_fd,),
            # Ctrl-C in a terminal is for whoever started us; the workers are told to drain in their turn.
            start_new_session=True,
        )
        log.info("event=worker_launched instance_id=%s pid=%d", instance_id, process.pid)
        return process

    def _sighting(self, id_: str) -> DescribedInstance:
        started = self._started[id_]
        return DescribedInstance(
            id_,
            started.at,
            started.token,
            kind="process",
            zone=self._host,
            ended=started.process.returncode is not None,
        )


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
