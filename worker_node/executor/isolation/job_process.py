"""The process of one job: a fork of the executor that waits until its job may begin."""

import contextlib
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from worker_node.executor.agent_client import AgentClient
from worker_node.ipc.frame_sender import FrameSender
from worker_node.ipc.frames import FrameReader, FrameWriter, new_key, unpack
from worker_node.ipc.protocol import MAX_REPORT_BYTES, Query, TaskReport, pack

Job = Callable[[AgentClient], TaskReport]
"""Runs a job, in its process. Gets what answers its queries."""
MAX_INTERRUPTIONS = 100
_CHECK_TIMEOUT = struct.pack("ll", 0, 100_000)
"""After 0.1 s of silence, look whether a job's process has ended: another one can still hold its socket open."""
_READ_BYTES = 1 << 16
_BEGIN = b"!"


class JobProcess:
    """A process for the job of one task, as the executor sees it. Nothing of the job runs before `begin`.

    Attributes:
        pid: its process id.
        sequence: number of the task.
    """

    def __init__(self, pid: int, sequence: int, connection: socket.socket, reader: FrameReader) -> None:
        self.pid = pid
        self.sequence = sequence
        self._connection = connection
        self._reader = reader

    @classmethod
    def fork(cls, sequence: int, job: Job, frames: FrameWriter, disconnect: Callable[[], None]) -> "JobProcess":
        """Start a process. Flush the streams before.

        Args:
            frames: writes the report. Made before the fork, which is cheaper.
            disconnect: called in the process. Closes what the executor has open.

        Raises:
            OSError: the system has no process or no socket left.
        """
        connection, its_end = socket.socketpair()
        key = new_key()
        frames.use_key(key)
        reader = FrameReader(MAX_REPORT_BYTES)
        reader.use_key(key)
        with its_end:
            try:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _CHECK_TIMEOUT)
                pid = os.fork()
            except OSError:
                connection.close()
                raise
            if pid == 0:
                os.close(connection.fileno())
                _run(its_end, key, job, frames, disconnect)
        return cls(pid, sequence, connection, reader)

    def fileno(self) -> int:
        """Return the descriptor of the executor's end of the connection."""
        return self._connection.fileno()

    def close(self) -> None:
        """Close the connection. A process whose job has not begun ends then."""
        self._connection.close()

    def begin(self) -> bool:
        """Let the job begin; return False if the process has ended before, for example because memory ran out."""
        try:
            return self._connection.send(_BEGIN) > 0
        except OSError:
            return False

    def attend(self, answer: Callable[[Query], Sequence[Any]]) -> TaskReport | None:
        """Wait for the report of the job, and answer its queries; return None if there comes none.

        Args:
            answer: to a query.

        Raises:
            ValueError, TypeError: it sends something else.
        """
        while True:
            try:
                data = self._connection.recv(_READ_BYTES)
            except BlockingIOError:
                if self._has_ended():
                    return None
                continue
            except OSError:
                return None
            if not data:
                return None
            for payload in self._reader.feed(data):
                fields = unpack(payload)
                if len(fields) == len(TaskReport._fields):
                    return TaskReport(*fields)
                with contextlib.suppress(OSError):  # It has ended since.
                    self._connection.sendall(pack(answer(Query(*fields))))

    def wait(self) -> int:
        """Wait until it has ended; return the exit code, negative for a signal."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """End it, and wait for that."""
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def _has_ended(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _run(
    connection: socket.socket, key: bytes, job: Job, frames: FrameWriter, disconnect: Callable[[], None]
) -> NoReturn:
    pid = os.getpid()
    try:
        disconnect()
        _reseed_numpy()
        if connection.recv(len(_BEGIN)):  # Else the executor does not want it any more, or has ended.
            report = job(AgentClient(connection, key))
            if os.getpid() == pid:  # Else the job has forked, and this is the other process.
                _send(connection, frames.pack(report))
    finally:
        os._exit(0)


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
