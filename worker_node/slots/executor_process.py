"""Process handle of one executor: start it, send it jobs, read its reports, kill it."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from jobqueue.settings import PREFIX
from worker_node.functions import HTTP_ALLOW
from worker_node.ipc.channel import Channel
from worker_node.ipc.protocol import SharedStatus, Task, pack
from worker_node.job_limits import NO_LIMIT_TABLE, LimitTable
from worker_node.slots.output_relay import OutputRelay


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
    """

    functions: tuple[str, ...]
    allow_pickle: bool
    nice: int = 0
    reload_functions: bool = False
    isolates: bool = False
    max_growth_files: int = 256
    job_limits: LimitTable = NO_LIMIT_TABLE


class ExecutorProcess:
    """A running executor.

    Attributes:
        status: the memory page that it shares with the agent.
        pid: its process id, also that of its process group and session.
    """

    def __init__(
        self, process: Process, status: SharedStatus, jobs: Channel, queries: Channel, output: OutputRelay
    ) -> None:
        self._process = process
        self._jobs = jobs
        self._queries = queries
        self._output = output
        self.status = status
        self.pid = process.pid

    @classmethod
    async def start(
        cls,
        options: ExecutorOptions,
        *,
        on_reports: Callable[[Sequence[bytes]], None],
        on_queries: Callable[[Sequence[bytes]], None],
        on_protocol_error: Callable[[str], None],
    ) -> "ExecutorProcess":
        """Start an executor. It is ready when `on_reports` gets the first frame.

        Raises:
            OSError: the system is out of processes, memory or file descriptors.
        """
        status = SharedStatus.create()
        output = OutputRelay()
        pairs: list[socket.socket] = []
        try:
            jobs, executors_jobs = _pair(pairs)
            queries, executors_queries = _pair(pairs)
            fds = (executors_jobs.fileno(), executors_queries.fileno(), status.fd)
            process = await asyncio.create_subprocess_exec(
                *_command_line(options, *fds),
                stdin=DEVNULL,
                stdout=output.write_fd,
                stderr=output.write_fd,
                pass_fds=fds,
                # In its own session, the terminal's Ctrl-C does not reach it, and killing it kills the job's children.
                start_new_session=True,
                env=_environment(os.environ),
            )
        except BaseException:
            status.close()
            output.close()
            for end in pairs:
                end.close()
            raise
        finally:
            output.close_write_end()
        executors_jobs.close()
        executors_queries.close()
        return cls(
            process,
            status,
            Channel(jobs, on_reports, on_protocol_error),
            Channel(queries, on_queries, on_protocol_error),
            output,
        )

    def send(self, tasks: Sequence[Task]) -> None:
        """Send tasks, to be run in this order."""
        self._jobs.send(pack(tasks))

    def answer(self, ok: bool, content: Any) -> None:
        """Answer the running job's query."""
        self._queries.send(pack([ok, content]))

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
        """Close the agent's ends of the sockets, the pipe and the shared memory."""
        self._jobs.close()
        self._queries.close()
        self._output.close()
        self.status.close()


def _pair(opened: list[socket.socket]) -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair()
    opened.extend(pair)
    return pair


def _command_line(options: ExecutorOptions, jobs_fd: int, queries_fd: int, status_fd: int) -> list[str]:
    return [
        *(sys.executable, "-m", "worker_node.executor"),
        *("--jobs-fd", str(jobs_fd), "--queries-fd", str(queries_fd), "--status-fd", str(status_fd)),
        *("--agent-pid", str(os.getpid()), "--functions", ",".join(options.functions), "--nice", str(options.nice)),
        *(["--allow-pickle"] if options.allow_pickle else []),
        *(["--reload-functions"] if options.reload_functions else []),
        *(["--isolate"] if options.isolates else []),
        *(["--job-limits", options.job_limits.text] if options.job_limits else []),
        *("--max-growth-files", str(options.max_growth_files)),
    ]


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the agent's environment without its settings: jobs must not see the address of Redis.

    The function `http` reads the one that is kept.
    """
    return {name: value for name, value in environ.items() if not name.startswith(PREFIX) or name == HTTP_ALLOW}
