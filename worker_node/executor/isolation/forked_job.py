"""Jobs in processes of their own: each runs in a fork of the executor, which has imported its function already."""

import contextlib
import gc
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from processes.exit_code import describe_exit
from worker_node.executor.agent_client import AgentClient
from worker_node.executor.isolation.children import ChildWatch
from worker_node.ipc.frame_sender import FrameSender
from worker_node.ipc.frames import FrameReader, FrameWriter, new_key, unpack
from worker_node.ipc.protocol import MAX_REPORT_BYTES, Query, TaskReport, pack

MAX_INTERRUPTIONS = 100
_CHECK_TIMEOUT = struct.pack("ll", 0, 100_000)
"""After 0.1 s of silence, look whether a job's process has ended: another one can still hold its socket open."""
_READ_BYTES = 1 << 16


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
        self._child: int | None = None

    def run(self, sequence: int, job: Callable[[AgentClient], TaskReport]) -> TaskReport:
        """Run a job in a process of its own; return its report. Flush the streams before, and call `end` then.

        Args:
            sequence: number of the job's task.
            job: runs it. Gets what answers its queries.

        Raises:
            LostJob: there is no report.
        """
        self._spare_copies()
        connection, childs_end = socket.socketpair()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _CHECK_TIMEOUT)
        key = new_key()
        self._frames.use_key(key)
        reader = FrameReader(MAX_REPORT_BYTES)
        reader.use_key(key)
        with connection:
            with childs_end:
                try:
                    self._child = os.fork()
                except OSError as error:
                    raise LostJob(f"no process could be started for the job: {error}") from error
                if self._child == 0:
                    os.close(connection.fileno())
                    self._run_child(childs_end, key, job)
            try:
                report = self._attend(connection, reader, self._child, sequence)
            except (ValueError, TypeError) as error:
                raise LostJob(f"the job wrote into the socket between its process and the executor: {error}") from error
            if report is None:
                # It may only have closed its end. Then it runs on, until its timeout at the latest.
                _, status = os.waitpid(self._child, 0)
                self._child = None
                exit_code = os.waitstatus_to_exitcode(status)
                raise LostJob(f"the process of the job died: {describe_exit(exit_code)}")
            return report

    def end(self) -> str:
        """End the last job's processes; return why that is impossible, or ''."""
        if self._child is not None:
            with contextlib.suppress(OSError):
                os.kill(self._child, signal.SIGKILL)
                os.waitpid(self._child, 0)
            self._child = None
        return self._children.end_others()

    def _spare_copies(self) -> None:
        """Keep the garbage collector off what exists: it writes to every object, and each page written to is copied."""
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            self._children.keep()  # A module may have started some when it was imported.
            gc.collect()
            gc.freeze()

    def _run_child(self, connection: socket.socket, key: bytes, job: Callable[[AgentClient], TaskReport]) -> NoReturn:
        pid = os.getpid()
        try:
            self._disconnect()
            _reseed_numpy()
            report = job(AgentClient(connection, key))
            if os.getpid() == pid:  # Else the job has forked, and this is the other process.
                _send(connection, self._frames.pack(report))
        finally:
            os._exit(0)

    def _attend(self, connection: socket.socket, reader: FrameReader, pid: int, sequence: int) -> TaskReport | None:
        """Answer a job's queries; return its report, or None if there comes none.

        Raises:
            ValueError, TypeError: it sends something else.
        """
        while True:
            try:
                data = connection.recv(_READ_BYTES)
            except BlockingIOError:
                if _has_ended(pid):
                    return None
                continue
            except OSError:
                return None
            if not data:
                return None
            for payload in reader.feed(data):
                fields = unpack(payload)
                if len(fields) == len(TaskReport._fields):
                    return TaskReport(*fields)
                with contextlib.suppress(OSError):  # It has ended since.
                    connection.sendall(pack(self._answer(sequence, Query(*fields))))

    def _answer(self, sequence: int, query: Query) -> Sequence[Any]:
        number, _, operation, field, value = query
        if not (isinstance(operation, str) and isinstance(field, str) and isinstance(value, bytes)):
            raise TypeError("a query with other values")
        try:
            return number, True, self._agent.query(sequence, operation, field, value)
        except RuntimeError as error:
            return number, False, str(error)


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _send(connection: socket.socket, frame: bytes) -> None:
    """Send a frame, although what the job has left behind may interrupt it."""
    sender = FrameSender(connection)
    for _ in range(MAX_INTERRUPTIONS):
        with contextlib.suppress(BaseException):
            sender.finish(frame)
            return


def _reseed_numpy() -> None:
    """Let forks draw different random numbers. The module `random` does so by itself."""
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
