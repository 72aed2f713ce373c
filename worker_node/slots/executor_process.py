"""One executor process as the agent sees it: started, spoken to, killed, gone."""

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
from worker_node.ipc.channel import Channel
from worker_node.ipc.protocol import SharedStatus, Task, pack

STDERR = 2
"""What jobs print goes where the log goes."""


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """What every executor of an agent is started with: the operator's modules, whether pickled jobs may run, and how
    far it stands back for others (see `courtesy`)."""

    functions: tuple[str, ...]
    allow_pickle: bool
    nice: int = 0


class ExecutorProcess:
    """A running executor.

    Attributes:
        page: the memory that it shares with the agent.
        pid: its process id, which is also that of its process group and session.
    """

    def __init__(self, process: Process, status: SharedStatus, jobs: Channel, calls: Channel) -> None:
        self._process = process
        self._jobs = jobs
        self._calls = calls
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
        """Starts an executor; the first frame of `on_reports` says that it is ready.

        Raises:
            OSError: the system has no process, memory or file descriptor left.
        """
        page = SharedStatus.create()
        pairs: list[socket.socket] = []
        try:
            jobs, childs_jobs = _pair(pairs)
            calls, childs_calls = _pair(pairs)
            fds = (childs_jobs.fileno(), childs_calls.fileno(), page.fd)
            process = await asyncio.create_subprocess_exec(
                *_command_line(options, *fds),
                stdin=DEVNULL,
                stdout=STDERR,
                pass_fds=fds,
                # A session of its own keeps the terminal's Ctrl-C away, and lets a kill take the job's children along.
                start_new_session=True,
                env=_environment(os.environ),
            )
        except BaseException:
            page.close()
            for end in pairs:
                end.close()
            raise
        childs_jobs.close()
        childs_calls.close()
        return cls(
            process, page, Channel(jobs, on_reports, on_protocol_error), Channel(calls, on_queries, on_protocol_error)
        )

    def send(self, tasks: Sequence[Task]) -> None:
        """Hands tasks over, to be run in this order."""
        self._jobs.send(pack(tasks))

    def answer(self, ok: bool, content: Any) -> None:
        """Answers the running job's question."""
        self._calls.send(pack([ok, content]))

    @property
    def is_deferred(self) -> bool:
        """Whether reports gather."""
        return self._jobs.is_deferred

    def defer_reads(self, until: float) -> None:
        """Lets reports gather until the loop's clock says `until`."""
        self._jobs.defer_until(until)

    def drain(self) -> None:
        """Takes in the reports that have arrived by now."""
        self._jobs.drain()

    def kill(self) -> None:
        """Kills the executor and whatever processes its jobs have started; no signal handler can prevent it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """Waits for its end and takes in the last reports: after this, no more come.

        Returns:
            the exit code, or minus the number of the signal that killed it.
        """
        code = await self._process.wait()
        self.kill()
        self._jobs.drain()
        return code

    def close(self) -> None:
        """Gives back what the agent held of it."""
        self._jobs.close()
        self._calls.close()
        self.status.close()


def _pair(opened: list[socket.socket]) -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair()
    opened.extend(pair)
    return pair


def _command_line(options: ExecutorOptions, jobs_fd: int, calls_fd: int, page_fd: int) -> list[str]:
    command = [sys.executable, "-m", "worker_node.executor", "--jobs-fd", str(jobs_fd), "--calls-fd", str(calls_fd)]
    command += ["--page-fd", str(page_fd), "--agent-pid", str(os.getpid()), "--functions", ",".join(options.functions)]
    command += ["--nice", str(options.nice)]
    return [*command, "--allow-pickle"] if options.allow_pickle else command


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Jobs get the agent's environment without its settings: the address of Redis is none of theirs."""
    return {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
