"""Supervisor of one slot's executor process: starts it, restarts it when it dies, recycles it between jobs."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from jobqueue.backoff import exponential_seconds
from processes.exit_code import describe_exit
from worker_node.slots.executor_process import ExecutorOptions, ExecutorProcess, Frames
from worker_node.slots.orphans import OrphanReaper
from worker_node.slots.outcomes import ExecutorDeath, Kill, KillReason
from worker_node.slots.recycling import ExecutorUsage, RecyclingLimits

log = logging.getLogger(__name__)

MIN_RESTART_SECONDS, MAX_RESTART_SECONDS = 0.1, 10.0
"""Delays before an executor that did not become ready is started again."""


@dataclass(frozen=True, slots=True)
class ExecutorCallbacks:
    """Callbacks of a keeper.

    Attributes:
        on_ready, on_reports, on_queries: as in `ExecutorProcess.start`.
        on_death: called when an executor has died, after its last reports: (executor, death, whether the agent
            intended it).
    """

    on_ready: Callable[[], None]
    on_reports: Callable[[Frames], None]
    on_queries: Callable[[Frames], None]
    on_death: Callable[[ExecutorProcess, ExecutorDeath, bool], None]


class ExecutorKeeper:
    """Keeps an executor running until `stop`.

    Args:
        slot: number of the slot, for the log.
        orphans: ends what the executors leave behind.

    Attributes:
        process: the executor; None before it is started and while it is restarted.
        accepts_jobs: whether the executor is ready, and neither about to be recycled nor stopped.
    """

    def __init__(self, slot: int, options: ExecutorOptions, limits: RecyclingLimits, orphans: OrphanReaper) -> None:
        self._slot = slot
        self._options = options
        self._limits = limits
        self._orphans = orphans
        self.process: ExecutorProcess | None = None
        self.accepts_jobs = False
        self._ready = False
        self._recycling = False
        self._stopping = False
        self._kill: Kill | None = None
        self._usage = ExecutorUsage(limits, 0)

    async def run(self, callbacks: ExecutorCallbacks) -> None:
        """Keep an executor running until `stop`. If one does not become ready, retry with exponential backoff."""
        failures = 0
        while not self._stopping:
            exit_code, became_ready = await self._run_once(callbacks)
            if became_ready:
                failures = 0
            elif not self._stopping:
                delay = exponential_seconds(failures, MIN_RESTART_SECONDS, MAX_RESTART_SECONDS)
                failures += 1
                log.error(
                    "event=executor_start_failed slot=%d %s retry_in_seconds=%.1f",
                    *(self._slot, describe_exit(exit_code), delay),
                )
                await asyncio.sleep(delay)

    def count_jobs(self, jobs: int) -> None:
        """Note how many more jobs the executor has run."""
        self._usage.jobs += jobs

    def recycle_if_due(self, *, idle: bool) -> None:
        """If the executor exceeds a recycling limit, accept no more jobs; replace it as soon as it is idle."""
        process = self.process
        if process is None or not self._ready or not self._usage.exceeds_limits(process.status.resident_bytes):
            return
        self._recycling, self.accepts_jobs = True, False
        if idle:
            growth = self._usage.growth_bytes(process.status.resident_bytes)
            log.info(
                "event=executor_recycled slot=%d pid=%d jobs=%d grown_bytes=%d",
                *(self._slot, process.pid, self._usage.jobs, growth),
            )
            process.kill()

    @property
    def is_killing(self) -> bool:
        """Whether the executor has been killed because of one of its jobs, and its death is not handled yet."""
        return self._kill is not None

    def kill(self, sequence: int, reason: KillReason, detail: str = "") -> None:
        """Kill the executor because of the task with that sequence number (0: none is to blame).

        The reason of an earlier kill stands.
        """
        self._kill = self._kill or Kill(sequence, reason, detail)
        self.accepts_jobs = False
        if self.process is not None:
            self.process.kill()

    def stop(self) -> None:
        """Kill the executor and let `run` end; its jobs are released."""
        self._stopping = True
        self.kill(0, KillReason.DRAINED)

    def _mark_ready(self, on_ready: Callable[[], None]) -> None:
        process = self.process
        if process is not None:
            self._ready, self._kill = True, None
            self.accepts_jobs = not self._stopping
            self._usage = ExecutorUsage(self._limits, process.status.resident_bytes)
            log.debug("event=executor_ready slot=%d pid=%d", self._slot, process.pid)
            on_ready()

    async def _run_once(self, callbacks: ExecutorCallbacks) -> tuple[int, bool]:
        """Run one executor to its end; return its exit code and whether it became ready."""
        try:
            with self._orphans.starting():
                process = await ExecutorProcess.start(
                    self._options,
                    on_ready=partial(self._mark_ready, callbacks.on_ready),
                    on_reports=callbacks.on_reports,
                    on_queries=callbacks.on_queries,
                )
                self._orphans.add(process.pid)
        except OSError as error:
            log.error("event=executor_spawn_failed slot=%d error=%r", self._slot, str(error))
            return 0, False
        self.process = process
        if self._stopping:
            process.kill()
        exit_code = await process.wait()
        self._orphans.discard(process.pid)
        became_ready = self._ready
        death, intended = self._end(process, exit_code)
        callbacks.on_death(process, death, intended)
        return exit_code, became_ready

    def _end(self, process: ExecutorProcess, exit_code: int) -> tuple[ExecutorDeath, bool]:
        """Let go of an executor that has died; return its death, and whether the agent intended it."""
        now_ns = time.monotonic_ns()
        begun, started_ns = process.status.running_task(now_ns)
        status, seconds = process.status, (now_ns - started_ns) / 1e9
        death = ExecutorDeath(exit_code, begun, status.function, seconds, self._kill, status.version)
        intended = self._stopping or self._recycling or self._kill is not None
        process.close()
        self.process, self._kill = None, None
        self._ready = self._recycling = self.accepts_jobs = False
        return death, intended
