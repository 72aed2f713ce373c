"""The loop of an executor: takes tasks, runs them, reports each, and undoes what it has changed in the process.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from jobqueue.functions import BUILT_IN
from worker_node.executor.agent_client import AgentClient
from worker_node.executor.calls import DecodedCall, Rejected
from worker_node.executor.failures import format_traceback, is_permanent
from worker_node.executor.isolation.children import ChildWatch
from worker_node.executor.isolation.forked_job import ForkRunner, LostJob
from worker_node.executor.job_runner import JobRunner, withdrawn
from worker_node.executor.output_meter import OutputMeter
from worker_node.executor.plain_logging import set_up_plain_logging
from worker_node.ipc.frame_receiver import FrameReceiver
from worker_node.ipc.frame_sender import FrameSender
from worker_node.ipc.frames import FIRST_KEY, FrameWriter
from worker_node.ipc.protocol import (
    NOT_RESTORED_EXIT_CODE,
    SOURCES_CHANGED_EXIT_CODE,
    Task,
    TaskOutcome,
    TaskReport,
)
from worker_node.ipc.status_page import StatusPage, WithdrawalPage

if TYPE_CHECKING:
    from worker_node.executor.isolation.process_state import ProcessState
    from worker_node.executor.source_watch import SourceWatch

THOROUGH_CHECK_NS = 500_000_000
"""After this, the end of a job is also the time to look for what takes long to find, such as the memory in use."""
MAX_INTERRUPTIONS = 100
"""How often a report that was interrupted is tried again, before the executor ends without it."""


class Executor:
    """Runs tasks in the main thread. Each is reported before the next one begins, whatever that one does."""

    def __init__(
        self,
        jobs: socket.socket,
        key: bytes,
        agent: AgentClient,
        status: StatusPage,
        withdrawals: WithdrawalPage,
        runner: JobRunner,
        children: ChildWatch,
        state: "ProcessState | None",
        sources: "SourceWatch | None",
        output: OutputMeter,
        *,
        isolates: bool,
        log_level: str,
    ) -> None:
        self._jobs = jobs
        self._agent = agent
        self._status = status
        self._withdrawals = withdrawals
        self._runner = runner
        self._state = state
        self._output = output
        self._isolates = isolates
        self._log_level = log_level
        self._forks = ForkRunner(agent, children, self._disconnect)
        self._sources = sources
        self._pid = os.getpid()
        self._key = key
        self._frames = FrameWriter(key)
        self._sender = FrameSender(jobs)
        self._receiver = FrameReceiver(jobs)
        self._report_frame = (0, b"")
        self._measured_ns = self._checked_ns = 0
        self._must_restore = self._has_forked = self._import_has_failed = False
        self._has_printed = self._logging_is_set_up = False
        self._following: Sequence[Any] | None = None
        self._decoded_ahead: tuple[int, DecodedCall] | None = None

    def run(self) -> int:
        """Read and run batches of tasks until the agent closes the connection, or this executor must be replaced.

        Returns:
            the exit code of the process. The agent gives tasks without a report to the executor that replaces it.
        """
        self._status.resident_bytes = _resident_bytes()
        self._sender.send(FrameWriter(FIRST_KEY).pack(self._key))
        while (tasks := self._next_tasks()) is not None:
            if self._sources is not None and self._sources.have_changed():
                return SOURCES_CHANGED_EXIT_CODE
            for position, fields in enumerate(tasks, 1):
                task = Task(*fields)
                self._following = tasks[position] if position < len(tasks) else None
                try:
                    self._run_and_report(task)
                    problem = self._restore()
                except BaseException as error:  # noqa: BLE001 - what a job has left behind can raise anything
                    self._note_failed_import()
                    self._report_interrupted(task, error)
                    problem = self._restore_persistently()
                if problem:
                    self._status.set_function(problem.encode(errors="replace"))  # For the agent's log.
                    return NOT_RESTORED_EXIT_CODE
            self._forks.discard_prepared()  # If there is one, its job has been withdrawn.
            self._status.set_running_task(task.sequence, 0)
            if self._sources is not None:
                self._sources.note_imports()
        return 0

    def _next_tasks(self) -> list[Any] | None:
        for _ in range(MAX_INTERRUPTIONS):
            # What a job has left behind can raise here, too. The next try goes on where this one was.
            with contextlib.suppress(BaseException):
                return self._receiver.read()
        return None

    def _run_and_report(self, task: Task) -> None:
        started_ns = time.monotonic_ns()
        self._status.set_running_task(task.sequence, started_ns)
        if self._withdrawals.is_withdrawn(task.sequence):
            self._report(withdrawn(task))
            return
        report = self._run(task, started_ns)
        if self._must_restore or self._has_forked:  # The built-in functions do not fork.
            self._end_if_forked()
        self._measure_memory()
        if self._must_restore:
            # A job may have written there, and the agent must not blame the next one for it.
            self._status.set_running_task(task.sequence, started_ns)
        if self._must_restore or self._has_forked:  # The built-in functions print nothing.
            output = self._output.of_job()
            if output is not None:
                self._has_printed = True
                report = report._replace(output=output)
        self._report(report)

    def _measure_memory(self) -> None:
        """Tell the agent, before it gets the report, how much memory is in use."""
        now_ns = time.monotonic_ns()
        if now_ns - self._measured_ns > THOROUGH_CHECK_NS:
            self._measured_ns = now_ns
            self._status.resident_bytes = _resident_bytes()

    def _report(self, report: TaskReport) -> None:
        """Send a report. Until it is sent, the status page shows its task as running, so that one is to blame."""
        frame = self._frames.pack(report)
        self._report_frame = (report.sequence, frame)
        self._sender.send(frame)

    def _report_interrupted(self, task: Task, error: BaseException) -> None:
        """Report a task although a signal handler or an asynchronous exception has hit the executor's own code.

        If the connection is closed, no try succeeds: end, so that the task is blamed.
        """
        self._end_if_forked()
        failed = TaskReport(task.sequence, TaskOutcome.FAILED, "", 0.0, format_traceback(error), is_permanent(error))
        for _ in range(MAX_INTERRUPTIONS):
            with contextlib.suppress(BaseException):
                sequence, frame = self._report_frame
                if sequence != task.sequence:
                    failed = failed._replace(output=self._output.of_job())
                    sequence, frame = self._report_frame = task.sequence, self._frames.pack(failed)
                self._sender.finish(frame)
                return
        os._exit(1)

    def _end_if_forked(self) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # The job forked, and this is the child process, returning from the job's function.

    def _run(self, task: Task, started_ns: int) -> TaskReport:
        self._must_restore = True  # Decoding can run code of the job's, too.
        try:
            ahead, self._decoded_ahead = self._decoded_ahead, None
            call = ahead[1] if ahead is not None and ahead[0] == task.sequence else self._runner.decode(task)
            if call.pickled:
                self._status.set_function(call.function.encode())  # The agent can read the other records.
            if call.version:
                self._status.set_version(call.version.encode())
            self._must_restore = call.pickled or call.function not in BUILT_IN or task.callbacks is not None
            if not self._logging_is_set_up:
                self._logging_is_set_up = set_up_plain_logging(self._log_level)
            if self._must_restore and self._state is not None:
                self._state.keep_imports()
        except BaseException as error:  # noqa: BLE001 - an import runs the operator's code, a pickle anybody's
            if not isinstance(error, Rejected):
                self._note_failed_import()
            return self._runner.failed(task, error, started_ns)
        if task.isolated or self._isolates:
            return self._run_in_fork(task, call, started_ns)
        return self._runner.run(task, call, self._agent, started_ns)

    def _note_failed_import(self) -> None:
        """If nothing restores this process, end it soon. What the module has left behind must not interrupt that."""
        if self._state is None:
            _block_signals()
            self._import_has_failed = True

    def _run_in_fork(self, task: Task, call: DecodedCall, started_ns: int) -> TaskReport:
        self._must_restore = call.pickled  # Here, the job has at most been decoded.
        self._has_forked = True
        self._output.flush()  # Else what is held back would be written twice.

        try:
            report = self._forks.run(task.sequence, self._job(task, call), self._prepare_following)
        except LostJob as error:
            return self._runner.lost(task, call, str(error), started_ns)
        return report._replace(sequence=task.sequence, function=call.function, version=call.version)

    def _job(self, task: Task, call: DecodedCall) -> Callable[[AgentClient], TaskReport]:
        def run(agent: AgentClient) -> TaskReport:
            report = self._runner.run(task, call, agent, time.monotonic_ns())
            self._output.flush()
            return report

        return run

    def _prepare_following(self) -> None:
        """While a job runs in its own process, make the one for the next job."""
        if self._following is None or self._state is not None:  # A process that restores itself changes in between.
            return
        task = Task(*self._following)
        call = self._runner.decode_ahead(task)
        if call is not None:
            self._decoded_ahead = task.sequence, call
            self._forks.prepare(task.sequence, self._job(task, call))

    def _disconnect(self) -> None:
        # Descriptors, not sockets: to close those takes longer.
        os.close(self._jobs.fileno())
        os.close(self._agent.fileno())
        self._status.close()
        self._withdrawals.close()

    def _restore(self) -> str:
        """Undo what the last job has changed in the process; return why that is impossible, or ''."""
        problem = self._restore_state()
        if self._has_printed and not problem:
            self._has_printed = False
            self._output.skip()  # Its processes may have written until they were ended.
        return problem

    def _restore_state(self) -> str:
        if self._has_forked:
            if problem := self._forks.end():
                return problem
            self._has_forked = False
        if self._state is None:
            # Whatever a module has done until its import failed would be found by all later forks.
            return "the import of a module has failed" if self._import_has_failed else ""
        if not self._must_restore:
            return ""  # The built-in functions leave nothing behind.
        now_ns = time.monotonic_ns()
        thorough = now_ns - self._checked_ns > THOROUGH_CHECK_NS
        if thorough:
            self._checked_ns = now_ns
        return self._state.restore(thorough=thorough)

    def _restore_persistently(self) -> str:
        """As `_restore`, although what a job has left behind interrupts it."""
        for _ in range(MAX_INTERRUPTIONS):
            with contextlib.suppress(BaseException):
                return self._restore()
        return "it is interrupted all the time"


def _block_signals() -> None:
    for _ in range(MAX_INTERRUPTIONS):
        # Before it returns, it runs the handlers of the signals that have arrived.
        with contextlib.suppress(BaseException):
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            return


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0
