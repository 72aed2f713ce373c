"""`python -m worker_node.executor`: a child process that runs the jobs of one slot, one after another.

The agent starts it (`slots/executor_process.py`) and both speak the protocol of `ipc/protocol.py`. It exits when the
agent closes its end of the sockets.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
"""

import argparse
import asyncio
import contextlib
import io
import os
import signal
import socket
import sys
import time

# Not signal.getsignal: it converts each answer to an enumeration member, which takes twenty times as long.
from _signal import getsignal  # type: ignore[import-not-found]  # Typeshed leaves it out.
from collections.abc import Sequence
from typing import Any

from rq.job import Retry, _current_job

from jobqueue.functions import FunctionRegistry
from processes.parent_death import die_with_parent
from worker_node.executor.calls import MAX_NAME_CHARS, CallDecoder, Rejected
from worker_node.executor.current_job import AgentClient, CurrentJob
from worker_node.executor.failures import format_traceback, is_permanent, printable
from worker_node.executor.results import PLACEHOLDER, ResultError, encode_result
from worker_node.executor.source_watch import SourceWatch
from worker_node.ipc.frame_sender import FrameSender
from worker_node.ipc.protocol import (
    SOURCES_CHANGED_EXIT_CODE,
    FrameWriter,
    SharedStatus,
    Task,
    TaskOutcome,
    TaskReport,
    pack,
    read_frame,
)
from worker_node.priority import lower_priority

RESTORE_AFTER_NS = 1_000_000
"""Signals and timers are restored at the end of a task if they were last restored longer ago than this."""
MEMORY_CHECK_NS = 500_000_000
MAX_INTERRUPTIONS = 100
"""How often a report that was interrupted is tried again, before the executor ends without it."""
OOM_SCORE_ADJUSTMENT = 500
"""Half of the maximum of /proc/PID/oom_score_adj, see proc(5)."""
MAX_RETRY_NUMBER = 1_000_000_000
"""Maximum for the number of retries that a function asks for, and for the seconds before one (32 years)."""
_RESTORED_SIGNALS = (signal.SIGALRM, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_NEVER_COROUTINES = (str, int, float, list, dict, type(None))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run jobs until the agent closes the connection or ends."""
    parser = argparse.ArgumentParser(prog="worker_node.executor")
    for option in ("--jobs-fd", "--queries-fd", "--status-fd", "--agent-pid"):
        parser.add_argument(option, type=int, required=True)
    parser.add_argument("--functions", default="")
    parser.add_argument("--allow-pickle", action="store_true")
    parser.add_argument("--reload-functions", action="store_true")
    parser.add_argument("--nice", type=int, default=0)
    options = parser.parse_args(arguments)
    die_with_parent(options.agent_pid)
    _raise_oom_score()
    lower_priority(options.nice)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # Shows what a job prints while it is running.
    if options.reload_functions:
        sys.dont_write_bytecode = True  # Cached code hides an edit within the same second.
    functions = FunctionRegistry.load(options.functions.split(","))
    executor = Executor(
        jobs=socket.socket(fileno=options.jobs_fd),
        agent=AgentClient(socket.socket(fileno=options.queries_fd)),
        status=SharedStatus(options.status_fd),
        calls=CallDecoder(functions, allow_pickle=options.allow_pickle),
        sources=SourceWatch(functions) if options.reload_functions and functions.modules else None,
    )
    exit_code = executor.run()
    sys.stdout.flush()
    os._exit(exit_code)  # A normal exit would wait for threads that jobs have left running.


class Executor:
    """Runs tasks in the main thread. Each is reported before the next one begins, whatever that one does."""

    def __init__(
        self,
        jobs: socket.socket,
        agent: AgentClient,
        status: SharedStatus,
        calls: CallDecoder,
        sources: SourceWatch | None,
    ) -> None:
        self._jobs = jobs
        self._agent = agent
        self._status = status
        self._calls = calls
        self._sources = sources
        self._pid = os.getpid()
        self._frames = FrameWriter()
        self._sender = FrameSender(jobs)
        self._report_frame = (0, b"")
        self._restored_ns = 0
        self._memory_checked_ns = 0
        self._handlers = [
            (number, handler) for number in _RESTORED_SIGNALS if (handler := getsignal(number)) is not None
        ]

    def run(self) -> int:
        """Read and run batches of tasks until the agent closes the connection, or a function's source has changed.

        Returns:
            the exit code of the process.
        """
        self._status.resident_bytes = _resident_bytes()
        self._sender.send(pack([]))
        while (tasks := read_frame(self._jobs)) is not None:
            if self._sources is not None and self._sources.have_changed():
                # They run in an executor that imports the functions anew.
                for fields in tasks:
                    self._report(_withdrawn(Task(*fields)))
                return SOURCES_CHANGED_EXIT_CODE
            for fields in tasks:
                task = Task(*fields)
                try:
                    self._run_and_report(task)
                    if time.monotonic_ns() - self._restored_ns > RESTORE_AFTER_NS:
                        self._restore()
                except BaseException as error:  # noqa: BLE001 - what an earlier job has left behind can raise anything
                    self._report_interrupted(task, error)
            self._status.set_running_task(0, 0)
            self._restore()
            if self._sources is not None:
                self._sources.note_imports()
        return 0

    def _run_and_report(self, task: Task) -> None:
        started_ns = time.monotonic_ns()
        self._status.set_running_task(task.sequence, started_ns)
        if self._status.is_withdrawn(task.sequence):
            self._report(_withdrawn(task))
            return
        report = self._run(task, started_ns)
        self._end_if_forked()
        self._report(report)

    def _report(self, report: TaskReport) -> None:
        """Send a report. Until it is sent, the status page shows its task as running, so that one is to blame."""
        frame = self._frames.pack([report])
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
                    sequence, frame = self._report_frame = task.sequence, self._frames.pack([failed])
                self._sender.finish(frame)
                return
        os._exit(1)

    def _end_if_forked(self) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # The job forked, and this is the child process, returning from the job's function.

    def _run(self, task: Task, started_ns: int) -> TaskReport:
        function = version = ""
        detail: Any = None
        try:
            if task.unsupported is not None:
                self._calls.reject_unsupported(task.unsupported, task.data)
            call = self._calls.decode(task.data)
            function, version = call.function, call.version
            self._status.set_function(function.encode())
            job = CurrentJob(self._agent, task.sequence, task.job_id, pickled=call.pickled)
            token = _current_job.set(job)
            try:
                value = call.target(*call.args, **call.kwargs)
                # The type check is quick and settles most results; `iscoroutine` asks an abstract base class.
                if not isinstance(value, _NEVER_COROUTINES) and asyncio.iscoroutine(value):
                    value = asyncio.run(value)
            finally:
                _current_job.reset(token)
            if isinstance(value, Retry):
                outcome, detail = TaskOutcome.RETRY, _retry_terms(value)
                value = value if call.pickled else PLACEHOLDER
            else:
                outcome = TaskOutcome.FINISHED
            body: bytes | str = encode_result(value, pickled=call.pickled, from_http=task.from_http)
        except Rejected as error:
            outcome, function, body = TaskOutcome.REJECTED, _short_name(error.function), printable(str(error))
        except ResultError as error:
            outcome, body, detail = TaskOutcome.FAILED, printable(str(error)), True
        except BaseException as error:  # noqa: BLE001 - the edge of the job: sys.exit() ends a job, not its executor
            outcome, body, detail = TaskOutcome.FAILED, format_traceback(error), is_permanent(error)
            # Without a name, its module's import has failed.
            function = function or _short_name(self._calls.named_function(task.data))
        seconds = (time.monotonic_ns() - started_ns) / 1e9
        return TaskReport(task.sequence, outcome, function, seconds, body, detail, version)

    def _restore(self) -> None:
        """Restore, between two jobs, what the last ones may have changed in the process."""
        now_ns = self._restored_ns = time.monotonic_ns()
        self._restore_signals()
        if now_ns - self._memory_checked_ns > MEMORY_CHECK_NS:
            self._memory_checked_ns = now_ns
            self._status.resident_bytes = _resident_bytes()

    def _restore_signals(self) -> None:
        """Undo a timer or signal handlers that a job left behind: they would hit the next job."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._handlers:
            if getsignal(number) is not handler:
                signal.signal(number, handler)


def _withdrawn(task: Task) -> TaskReport:
    return TaskReport(task.sequence, TaskOutcome.WITHDRAWN, "", 0.0, b"", None)


def _retry_terms(retry: Retry) -> list[Any]:
    """Return the fields of a returned `rq.Retry`, as numbers that a frame can hold."""
    intervals = [min(int(seconds), MAX_RETRY_NUMBER) for seconds in retry.intervals]
    return [min(int(retry.max), MAX_RETRY_NUMBER), intervals, bool(retry.enqueue_at_front)]


def _short_name(function: str) -> str:
    """Return the name of a function that is not registered; a record can name anything."""
    return printable(function)[:MAX_NAME_CHARS]


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def _raise_oom_score() -> None:
    """When memory runs out, make the kernel kill an executor rather than the agent or Redis."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(OOM_SCORE_ADJUSTMENT))


if __name__ == "__main__":
    main()
