"""Jobs in processes of their own: each runs in a fork of the executor, which has imported its function already.

The fork for the next job is made while a job runs, if that takes nothing but a fork (docs/decisions/0048). So two
processors work at a stream of short jobs, although one job runs at a time.
"""

import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from processes.exit_code import describe_exit
from worker_node.executor.agent_client import AgentClient
from worker_node.executor.isolation.children import ChildWatch
from worker_node.executor.isolation.job_process import Job, JobProcess
from worker_node.ipc.frames import FrameWriter
from worker_node.ipc.protocol import Query, TaskReport


class LostJob(Exception):
    """The process of a job has ended without a report, or could not be started. The message says why."""


class ForkRunner:
    """Runs jobs in forks of this process.

    Args:
        agent: answers the jobs' queries about their own records.
        children: ends what jobs leave behind.
        disconnect: called in each fork. Closes everything that this process shares with the agent.
    """

    def __init__(self, agent: AgentClient, children: ChildWatch, disconnect: Callable[[], None]) -> None:
        self._agent = agent
        self._children = children
        self._disconnect = disconnect
        self._frames = FrameWriter(b"")
        self._modules = 0
        self._running: JobProcess | None = None
        self._prepared: JobProcess | None = None

    def run(self, sequence: int, job: Job, meanwhile: Callable[[], None]) -> TaskReport:
        """Run a job in a process of its own; return its report. Flush the streams before, and call `end` then.

        Args:
            sequence: number of the job's task.
            meanwhile: called while the job runs. It may `prepare` the next one.

        Raises:
            LostJob: there is no report.
        """
        process = self._take_prepared(sequence)
        if process is None:
            process = self._fork(sequence, job)
            process.begin()
        self._running = process
        try:
            meanwhile()
            report = process.attend(lambda query: self._answer(sequence, query))
        except (ValueError, TypeError) as error:
            raise LostJob(f"the job wrote into the socket between its process and the executor: {error}") from error
        finally:
            process.close()
        if report is None:
            # It may only have closed its end. Then it runs on, until its timeout at the latest.
            exit_code = process.wait()
            self._running = None
            raise LostJob(f"the process of the job died: {describe_exit(exit_code)}")
        return report

    def prepare(self, sequence: int, job: Job) -> None:
        """Make the process for a job that comes next. Nothing of it runs before `run` is called with its number."""
        # What a module has changed since the last fork is found out between two jobs.
        if len(sys.modules) == self._modules and self._children.can_spare:
            with suppress(OSError):  # `run` tries it again.
                self._prepared = self._start(sequence, job)

    def end(self) -> str:
        """End the last job's processes; return why that is impossible, or ''."""
        if self._running is not None:
            self._running.kill()
            self._running = None
        return self._children.end_others(None if self._prepared is None else self._prepared.pid)

    def discard_prepared(self) -> None:
        """End the process that waits for its job, if there is one."""
        if self._prepared is not None:
            self._prepared.close()
            self._prepared.kill()
            self._prepared = None

    def _take_prepared(self, sequence: int) -> JobProcess | None:
        """Let the prepared process begin and return it, if it is that of this task; else end it."""
        # No longer spared from here on: if this is interrupted, `end` ends it, whether its job has begun or not.
        process, self._prepared = self._prepared, None
        if process is None or (process.sequence == sequence and process.begin()):
            return process
        process.close()
        process.kill()
        return None

    def _fork(self, sequence: int, job: Job) -> JobProcess:
        self._spare_copies()
        try:
            return self._start(sequence, job)
        except OSError as error:
            raise LostJob(f"no process could be started for the job: {error}") from error

    def _start(self, sequence: int, job: Job) -> JobProcess:
        return JobProcess.fork(sequence, job, self._frames, self._close_all)

    def _close_all(self) -> None:
        self._disconnect()
        if self._running is not None:
            os.close(self._running.fileno())

    def _spare_copies(self) -> None:
        """Keep the garbage collector off what exists: it writes to every object, and each page written to is copied."""
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            self._children.keep()  # A module may have started some when it was imported.
            gc.collect()
            gc.freeze()

    def _answer(self, sequence: int, query: Query) -> Sequence[Any]:
        number, _, operation, field, value = query
        if not (isinstance(operation, str) and isinstance(field, str) and isinstance(value, bytes)):
            raise TypeError("a query with other values")
        try:
            return number, True, self._agent.query(sequence, operation, field, value)
        except RuntimeError as error:
            return number, False, str(error)
