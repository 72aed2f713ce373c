"""Process handle of one executor: start it, send it jobs, read its reports, kill it."""

import asyncio
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from worker_node.ipc.channel import Channel
from worker_node.ipc.frames import read_key
from worker_node.ipc.protocol import MAX_QUERY_BYTES, MAX_REPORT_BYTES, Task, pack
from worker_node.ipc.start_options import StartOptions
from worker_node.ipc.status_page import StatusPage, WithdrawalPage
from worker_node.job_environment import job_environment
from worker_node.job_limits import NO_LIMIT_TABLE, LimitTable
from worker_node.job_user import OWN_USER, JobUser
from worker_node.redaction import Redaction
from worker_node.slots.executor_output import ExecutorOutput

REPORT_BUFFER_BYTES = 1 << 20
"""How much an executor can send before the agent reads. Linux grants less unless net.core.wmem_max is as large."""

Frames = Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """Start options of a worker's executors.

    Attributes:
        functions: the modules of WORKMANAGER_FUNCTIONS.
        allow_pickle: whether pickled jobs may run.
        nice: CPU niceness, see `worker_node/priority.py`.
        reload_functions: whether an executor is replaced when the source of its functions has changed.
        isolates: whether each job runs in a process of its own, a fork of the executor.
        job_limits: what jobs may use.
        max_growth_files: how many files jobs may leave open until their executor is replaced.
        variables: which environment variables of the agent jobs see besides those of every program.
        log_level: of `logging` if jobs do not configure it.
        measures_output: whether reports tell where the output of their jobs is.
        redaction: replaces secrets in what jobs print.
        user: as whom executors run.
    """

    functions: tuple[str, ...]
    allow_pickle: bool
    nice: int = 0
    reload_functions: bool = False
    isolates: bool = False
    max_growth_files: int = 256
    job_limits: LimitTable = NO_LIMIT_TABLE
    variables: tuple[str, ...] = ()
    log_level: str = "INFO"
    measures_output: bool = True
    redaction: Redaction = field(default_factory=Redaction)
    user: JobUser = OWN_USER


class ExecutorProcess:
    """A running executor.

    Attributes:
        status: the memory page that it shares with the agent.
        withdrawals: the page that tells it which tasks must not start.
        output: what its jobs print.
        pid: its process id, also that of its process group and session.
        report_buffer_bytes: how much memory its socket has for reports that the agent has not read.
    """

    def __init__(
        self,
        process: Process,
        pages: tuple[StatusPage, WithdrawalPage],
        connections: tuple[socket.socket, socket.socket],
        output: ExecutorOutput,
        report_buffer_bytes: int,
        *,
        on_ready: Callable[[], None],
        on_reports: Callable[[Frames], None],
        on_queries: Callable[[Frames], None],
    ) -> None:
        self._process = process
        self.output = output
        self._on_ready: Callable[[], None] | None = on_ready
        self._on_reports = on_reports
        self._jobs = Channel(connections[0], MAX_REPORT_BYTES, self._on_frames)
        self._queries = Channel(connections[1], MAX_QUERY_BYTES, on_queries)
        output.on_much(self._jobs.read_available)
        self.status, self.withdrawals = pages
        self.pid = process.pid
        self.report_buffer_bytes = report_buffer_bytes

    @classmethod
    async def start(
        cls,
        options: ExecutorOptions,
        *,
        on_ready: Callable[[], None],
        on_reports: Callable[[Frames], None],
        on_queries: Callable[[Frames], None],
    ) -> "ExecutorProcess":
        """Start an executor.

        Args:
            on_ready: called when it takes tasks.
            on_reports, on_queries: called with the payloads of frames; None for bytes that are no frame.

        Raises:
            OSError: the system is out of processes, memory or file descriptors.
        """
        # The executor's ends are closed here in any case, the agent's only if the start fails.
        with ExitStack() as executors, ExitStack() as agents:
            status, withdrawals = StatusPage.create(), WithdrawalPage.create()
            agents.callback(status.close)
            agents.callback(withdrawals.close)
            output = ExecutorOutput(options.redaction, withdrawals)
            agents.callback(output.close)
            executors.callback(output.close_write_ends)
            jobs, executors_jobs = _pair(agents, executors)
            queries, executors_queries = _pair(agents, executors)
            executors_jobs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, REPORT_BUFFER_BYTES)
            report_buffer_bytes = executors_jobs.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            fds = (executors_jobs.fileno(), executors_queries.fileno(), status.fd, withdrawals.fd)
            process = await asyncio.create_subprocess_exec(
                *options.user.command,
                *_start_options(options, *fds).command_line,
                stdin=DEVNULL,
                stdout=output.write_fds[0],
                stderr=output.write_fds[1],
                pass_fds=fds,
                # In its own session, the terminal's Ctrl-C does not reach it, and killing it kills the job's children.
                start_new_session=True,
                env={**job_environment(os.environ, options.variables), **dict(options.user.environment)},
            )
            started = cls(
                process,
                (status, withdrawals),
                (jobs, queries),
                output,
                report_buffer_bytes,
                on_ready=on_ready,
                on_reports=on_reports,
                on_queries=on_queries,
            )
            agents.pop_all()
        return started

    def send(self, tasks: Sequence[Task]) -> None:
        """Send tasks, to be run in this order."""
        self._jobs.send(pack(tasks))

    def answer(self, number: int, ok: bool, content: Any) -> None:
        """Answer the running job's query of that number."""
        self._queries.send(pack([number, ok, content]))

    @property
    def is_deferred(self) -> bool:
        """Whether reports are left in the socket for now."""
        return self._jobs.is_deferred

    def defer_reads(self, until: float) -> None:
        """Leave reports in the socket until the event loop's clock reaches `until`."""
        self._jobs.defer_until(until)

    def read_available(self) -> None:
        """Read the reports that have arrived."""
        self._jobs.read_available()

    def read_queries(self) -> None:
        """Read the queries that have arrived."""
        self._queries.read_available()

    def kill(self) -> None:
        """Kill the executor and all processes that its jobs have started, whatever signals they handle."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """Wait until the process has ended, and read its last reports; no more arrive after this.

        Returns:
            the exit code; minus the signal's number if a signal killed it.
        """
        code = await self._process.wait()
        self.kill()
        self._jobs.read_available()
        return code

    def close(self) -> None:
        """Close the agent's ends of the sockets, the pipes and the shared memory."""
        self._jobs.close()
        self._queries.close()
        self.output.close()
        self.status.close()
        self.withdrawals.close()

    def _on_frames(self, frames: Frames) -> None:
        if self._on_ready is not None:
            # No job has run before, so this one is the executor's own.
            key = read_key(frames[0])
            self._jobs.use_key(key)
            self._queries.use_key(key)
            frames = frames[1:]
            on_ready, self._on_ready = self._on_ready, None
            on_ready()
        if frames:
            self._on_reports(frames)


def _pair(agents: ExitStack, executors: ExitStack) -> tuple[socket.socket, socket.socket]:
    agents_end, executors_end = socket.socketpair()
    return agents.enter_context(agents_end), executors.enter_context(executors_end)


def _start_options(
    options: ExecutorOptions, jobs_fd: int, queries_fd: int, status_fd: int, withdrawals_fd: int
) -> StartOptions:
    return StartOptions(
        jobs_fd=jobs_fd,
        queries_fd=queries_fd,
        status_fd=status_fd,
        withdrawals_fd=withdrawals_fd,
        agent_pid=os.getpid(),
        functions=options.functions,
        allow_pickle=options.allow_pickle,
        reload_functions=options.reload_functions,
        isolates=options.isolates,
        job_limits=options.job_limits.text,
        log_level=options.log_level,
        measures_output=options.measures_output,
        nice=options.nice,
        max_growth_files=options.max_growth_files,
    )
