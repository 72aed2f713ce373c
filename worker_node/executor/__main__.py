"""An executor: a long-lived child process that runs the jobs the agent hands it, one after another.

`python -m worker_node.executor` is started by `slot`, never by hand. It leaves when the agent closes its end.
"""

import argparse
import asyncio
import contextlib
import io
import os
import signal
import socket
import sys
import threading
import time
import traceback

# Not by `signal.getsignal`, which makes an enumeration's member of each answer, in twenty times the time.
from _signal import getsignal  # type: ignore[import-not-found]  # Typeshed leaves it out.
from collections.abc import Sequence
from typing import Any

from rq.job import Retry, _current_job

from jobqueue.functions import FunctionRegistry
from processes.parent_death import die_with_parent
from worker_node.executor.calls import PLACEHOLDER, CallDecoder, Rejected, ResultError, encode_result
from worker_node.executor.current_job import AgentClient, CurrentJob
from worker_node.functions import PermanentError
from worker_node.ipc.protocol import FrameWriter, SharedStatus, Task, TaskOutcome, TaskReport, pack, read_frame
from worker_node.priority import lower_priority

FLUSH_AFTER_NS = 1_000_000
LINGER_SECONDS = 0.005
MEMORY_CHECK_NS = 500_000_000
MAX_TRACE_CHARS = 32_768


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs jobs until the agent is gone."""
    parser = argparse.ArgumentParser(prog="worker_node.executor")
    for option in ("--jobs-fd", "--calls-fd", "--page-fd", "--agent-pid"):
        parser.add_argument(option, type=int, required=True)
    parser.add_argument("--functions", default="")
    parser.add_argument("--allow-pickle", action="store_true")
    parser.add_argument("--nice", type=int, default=0)
    options = parser.parse_args(arguments)
    die_with_parent(options.agent_pid)
    _be_the_first_to_go()
    lower_priority(options.nice)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # What a job prints shows while it runs.
    executor = Executor(
        jobs=socket.socket(fileno=options.jobs_fd),
        line=AgentClient(socket.socket(fileno=options.calls_fd)),
        page=SharedStatus(options.page_fd),
        calls=CallDecoder(FunctionRegistry.discover(options.functions.split(",")), allow_pickle=options.allow_pickle),
    )
    executor.run()
    sys.stdout.flush()
    os._exit(0)  # A thread that a job left behind would keep the process.


class Executor:
    """Runs tasks in the main thread, and reports them in batches."""

    def __init__(self, jobs: socket.socket, line: AgentClient, page: SharedStatus, calls: CallDecoder) -> None:
        self._jobs = jobs
        self._line = line
        self._page = page
        self._calls = calls
        self._pid = os.getpid()
        self._reports: list[TaskReport] = []
        self._flushed_ns = 0
        self._memory_seen_ns = 0
        self._sending = threading.Lock()
        self._frames = FrameWriter()
        self._waiting_reports = threading.Event()
        self._lingerer: threading.Thread | None = None
        self._handlers = [
            (number, handler) for number in _RESTORED_SIGNALS if (handler := getsignal(number)) is not None
        ]

    def run(self) -> None:
        """Reads batches of tasks and runs them, until the agent closes the connection."""
        self._page.resident_bytes = _resident_bytes()
        self._jobs.sendall(pack([]))
        while (tasks := read_frame(self._jobs)) is not None:
            self._run_batch(tasks)

    def _run_batch(self, tasks: list[Any]) -> None:
        page, last = self._page, len(tasks) - 1
        for position, fields in enumerate(tasks):
            task = Task(*fields)
            began_ns = time.monotonic_ns()
            page.set_running_task(task.sequence, began_ns)
            if page.is_withdrawn(task.sequence):
                report = TaskReport(task.sequence, TaskOutcome.WITHDRAWN, "", 0.0, b"", None)
                ended_ns = began_ns
            else:
                report = self._run(task, began_ns)
                ended_ns = time.monotonic_ns()
                if os.getpid() != self._pid:
                    os._exit(0)  # A child that the job forked has come back from the job's function.
            self._reports.append(report)
            if position == last or ended_ns - self._flushed_ns > FLUSH_AFTER_NS:
                self._flush(ended_ns)
            elif len(self._reports) == 1:
                self._linger()
        # Only now: whatever ends the process up to here is put down to the last task, whose report may not be out.
        page.set_running_task(0, 0)

    def _run(self, task: Task, began_ns: int) -> TaskReport:
        function = ""
        detail: Any = None
        try:
            if task.unsupported is not None:
                raise Rejected(task.unsupported, self._calls.requested_function(task.data))
            call = self._calls.decode(task.data)
            function = call.function
            self._page.set_function(function.encode())
            job = CurrentJob(self._line, task.sequence, task.job_id, pickled=call.pickled)
            token = _current_job.set(job)
            try:
                value = call.target(*call.args, **call.kwargs)
                # What most jobs return is told apart at once: `iscoroutine` asks an abstract class.
                if not isinstance(value, _PLAIN) and asyncio.iscoroutine(value):
                    value = asyncio.run(value)
            finally:
                _current_job.reset(token)
            if isinstance(value, Retry):
                ending, detail = TaskOutcome.RETRY, [value.max, list(value.intervals), value.enqueue_at_front]
                value = value if call.pickled else PLACEHOLDER
            else:
                ending = TaskOutcome.FINISHED
            body: bytes | str = encode_result(value, pickled=call.pickled, from_http=task.from_http)
        except Rejected as error:
            ending, function, body = TaskOutcome.REJECTED, error.function, str(error)
        except ResultError as error:
            ending, body, detail = TaskOutcome.FAILED, str(error), True
        except BaseException as error:  # noqa: BLE001 - the edge of the job: sys.exit() ends a job, not its executor
            ending, body, detail = TaskOutcome.FAILED, _trace(error), isinstance(error, PermanentError)
        return TaskReport(task.sequence, ending, function, (time.monotonic_ns() - began_ns) / 1e9, body, detail)

    def _flush(self, now_ns: int) -> None:
        if now_ns - self._memory_seen_ns > MEMORY_CHECK_NS:
            self._memory_seen_ns = now_ns
            self._page.resident_bytes = _resident_bytes()
        self._restore_signals()
        self._flushed_ns = now_ns
        self._send_reports()

    def _linger(self) -> None:
        """Sees to it that a report does not wait in this process while the batch's next task takes its time."""
        if self._lingerer is None:
            self._lingerer = threading.Thread(target=self._flush_lingering, name="reports", daemon=True)
            self._lingerer.start()
        self._waiting_reports.set()

    def _flush_lingering(self) -> None:
        while self._waiting_reports.wait():
            self._waiting_reports.clear()
            time.sleep(LINGER_SECONDS)
            self._send_reports()

    def _send_reports(self) -> None:
        with self._sending:
            # The main thread may append meanwhile, so what is taken is counted first and cut off the same list.
            count = len(self._reports)
            if count:
                reports = self._reports[:count]
                del self._reports[:count]
                try:
                    self._jobs.sendall(self._frames.pack(reports))
                except OSError:
                    # A job has closed the connection: most likely the first that cannot be reported any more.
                    self._page.set_running_task(reports[0].sequence, time.monotonic_ns())
                    self._page.set_function(reports[0].function.encode())
                    os._exit(1)

    def _restore_signals(self) -> None:
        """Undoes what a job may have left behind: an alarm or a handler of its own would strike the next job."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._handlers:
            if getsignal(number) is not handler:
                signal.signal(number, handler)


_PLAIN = (str, int, float, list, dict, type(None))
_RESTORED_SIGNALS = (signal.SIGALRM, signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def _trace(error: BaseException) -> str:
    """The traceback from the job's function on; its last line is the message. The middle of a huge one is left out."""
    frames = error.__traceback__
    if frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames)).rstrip("\n")
    if len(text) > MAX_TRACE_CHARS:
        half = MAX_TRACE_CHARS // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def _be_the_first_to_go() -> None:
    """Where memory runs out, the system is to take an executor, not the agent or Redis."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")


if __name__ == "__main__":
    main()
