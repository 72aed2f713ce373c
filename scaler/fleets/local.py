"""The local fleet: each worker is a child process of this manager."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from processes.settings_file import PREFIX, SECRETS, with_settings_file
from scaler.fleets.fleet import Cause, FleetError, Profile
from scaler.fleets.instances import DescribedInstance, Instance, Intent, LaunchRequest
from scaler.fleets.local_processes import identity_of

DRAIN_SECONDS = 10.0
"""How long running jobs can continue when the manager stops; then their workers release them."""
KILL_AFTER_SECONDS = 5.0
"""How long the release of jobs can take before a worker is killed."""
WORKER_NICE = 15
"""Niceness of the workers' executors, so that managers and Redis go first (nice(2)). WORKMANAGER_NICE overrides it."""
SECRETS_OF_MANAGERS = frozenset(PREFIX + name.upper() for name in SECRETS)
"""Workers do not inherit them: while a program starts, jobs of the same user can read its environment."""
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
class _LocalWorker:
    process: Process
    token: str
    launched_at: float


class LocalFleet:
    """Starts workers as child processes.

    Args:
        redis_url: URL of the queue, for the workers.
        slots: number of jobs that each worker runs at a time.
        parent_fd: read end of a pipe whose write end the parent process holds: end of file tells the workers that the
            parent has died. None: create a pipe whose write end this process holds.
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
        self._workers: dict[str, _LocalWorker] = {}
        self._defaults = {"WORKMANAGER_NICE": str(WORKER_NICE)}
        if "WORKMANAGER_NICE" in with_settings_file(os.environ):
            self._defaults = {}

    def plan(
        self,
        count: int,
        living: Collection[Instance],
        cooling: Collection[str],
        pending: Collection[LaunchRequest] = (),
    ) -> list[LaunchRequest]:
        """Return one call for all instances; only this process can carry it out."""
        return [LaunchRequest(count, arguments={"launcher": self._launcher})]

    async def launch(self, intent: Intent, *, repeated: bool) -> list[DescribedInstance]:
        """Start the intent's processes, unless they were started before.

        Raises:
            FleetError: the machine cannot start another process; or it is the intent of another manager, whose workers
                become known when they register.
        """
        if intent.request.arguments.get("launcher") != self._launcher:
            message = "another manager recorded this launch, and only that manager could start its processes"
            raise FleetError(Cause.TOKEN_EXPIRED, "OtherManager", message)
        ids = [f"{intent.token}-{number}" for number in range(intent.request.count)]
        for id_ in ids:
            if id_ not in self._workers:
                try:
                    process = await self._start(id_)
                except OSError as error:
                    raise FleetError(Cause.UNKNOWN, "NotStarted", str(error)) from error
                self._workers[id_] = _LocalWorker(process, intent.token, intent.recorded_at)
        return [self._described(id_) for id_ in ids]

    async def describe(self) -> list[DescribedInstance]:
        """Describe the processes of this manager. The workers of another manager are known by their heartbeats."""
        described = [self._described(id_) for id_ in self._workers]
        # An ended process is described only once. If that gets lost, its worker's silence is noticed soon.
        self._workers = {id_: each for id_, each in self._workers.items() if each.process.returncode is None}
        return described

    async def terminate(self, ids: Sequence[str]) -> Mapping[str, FleetError | None]:
        """Kill the processes that are still running, as far as this manager started them."""
        for id_ in ids:
            worker = self._workers.pop(id_, None)
            if worker is not None and worker.process.returncode is None:
                worker.process.kill()
                await worker.process.wait()
        return dict.fromkeys(ids)

    async def close(self) -> None:
        """Drain this manager's workers. Jobs that take longer than `DRAIN_SECONDS` are released to the queue."""
        running = [each.process for each in self._workers.values() if each.process.returncode is None]
        # The first SIGTERM drains a worker; the second one makes it release its jobs at once.
        for timeout_seconds in (DRAIN_SECONDS, KILL_AFTER_SECONDS):
            running = await _terminate_and_wait(running, timeout_seconds)
        for process in running:
            log.warning("event=worker_killed pid=%d reason=did_not_drain", process.pid)
            process.kill()
            await process.wait()
        if self._write_fd is not None:
            os.close(self._write_fd)
            os.close(self._parent_fd)
            self._write_fd = None

    async def _start(self, instance_id: str) -> Process:
        inherited = {name: value for name, value in os.environ.items() if name not in SECRETS_OF_MANAGERS}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "worker_node", "--slots", str(self._slots)),
            *("--fleet", self.name, "--instance-id", instance_id, "--name", instance_id),
            *("--parent-fd", str(self._parent_fd)),
            stdin=asyncio.subprocess.DEVNULL,
            # The URL can contain a password, and every user of the machine can read command lines.
            env={**self._defaults, **inherited, "WORKMANAGER_REDIS_URL": self._redis_url},
            pass_fds=(self._parent_fd,),
            # Ctrl-C in a terminal must reach only the parent process, which then drains the workers.
            start_new_session=True,
        )
        log.info("event=worker_launched instance_id=%s pid=%d", instance_id, process.pid)
        return process

    def _described(self, id_: str) -> DescribedInstance:
        worker = self._workers[id_]
        return DescribedInstance(
            id_,
            worker.launched_at,
            worker.token,
            kind="process",
            zone=self._host,
            ended=worker.process.returncode is not None,
            process=identity_of(worker.process.pid),
        )


async def _terminate_and_wait(processes: Sequence[Process], timeout_seconds: float) -> list[Process]:
    """Send SIGTERM, and return the processes that have not ended in time."""
    for process in processes:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    if processes:
        ends = [asyncio.ensure_future(process.wait()) for process in processes]
        await asyncio.wait(ends, timeout=timeout_seconds)
        for end in ends:
            end.cancel()
    return [process for process in processes if process.returncode is None]
