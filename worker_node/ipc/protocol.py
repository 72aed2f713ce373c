"""What the agent and an executor say to each other.

Frames go over socket pairs: four bytes of length, big-endian, then msgpack. Nothing of a child is ever unpickled.
The agent sends lists of `Task`, in the order in which they are to run; the executor answers with lists of `Report`,
of which an empty one means that it is ready. On a second pair a running job asks for its own record: a list
`[sequence, verb, field, value]`, answered by `[ok, value]`.

The `Page` is memory that both see, for what must be known at once, without asking the child.
"""

import mmap
import os
import socket
import struct
import tempfile
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import msgpack  # type: ignore[import-untyped]  # It has no types.

LENGTH = struct.Struct(">I")
MAX_FRAME_BYTES = 1 << 30
MAX_RESULT_BYTES = 1 << 20
WRITABLE_FIELDS = frozenset({"meta"})
"""Fields of its own record that a running job can write."""


class Task(NamedTuple):
    """A job as an executor gets it. `data` is RQ's field of that name; `unsupported` names what forbids to run it."""

    sequence: int
    job_id: str
    data: bytes
    from_http: bool
    unsupported: str | None


class TaskOutcome(IntEnum):
    """How a task ended."""

    FINISHED = 0
    FAILED = 1
    REJECTED = 2
    RETRY = 3
    WITHDRAWN = 4


class TaskReport(NamedTuple):
    """What became of a task.

    Attributes:
        function: the public name where the function is registered, the record's path where it is not, '' where the
            record could not be read.
        body: the result, serialised and in base64 (FINISHED, RETRY), or the traceback as text (FAILED, REJECTED).
        detail: for FAILED whether the failure is permanent; for RETRY `[max, intervals, at_front]`.
    """

    sequence: int
    outcome: TaskOutcome
    function: str
    seconds: float
    body: bytes | str
    detail: Any


def pack(messages: Sequence[Any]) -> bytes:
    """One frame."""
    return FrameWriter().pack(messages)


class FrameWriter:
    """Makes frames, for one thread at a time, in a buffer that it keeps: a fresh one takes longer than a frame."""

    def __init__(self) -> None:
        self._packer = msgpack.Packer()

    def pack(self, messages: Sequence[Any]) -> bytes:
        """One frame."""
        payload: bytes = self._packer.pack(messages)
        return LENGTH.pack(len(payload)) + payload


def unpack(payload: bytes) -> list[Any]:
    """The messages of a frame's payload.

    Raises:
        ValueError: it is not a list in msgpack.
    """
    messages = msgpack.unpackb(payload)
    if not isinstance(messages, list):
        raise ValueError(f"a frame holds a list, not {type(messages).__name__}")
    return messages


def read_frame(connection: socket.socket) -> list[Any] | None:
    """Waits for the next frame on a blocking socket; None at its end."""
    header = _read_exactly(connection, LENGTH.size)
    if header is None:
        return None
    payload = _read_exactly(connection, LENGTH.unpack(header)[0])
    return None if payload is None else unpack(payload)


def _read_exactly(connection: socket.socket, size: int) -> bytes | None:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        count = connection.recv_into(view[got:])
        if count == 0:
            return None
        got += count
    return bytes(data)


class SharedStatus:
    """Memory shared by the agent and one executor: what runs, since when, and which tasks are withdrawn.

    The executor writes what runs and then looks whether it is withdrawn; the agent withdraws and then, a moment later,
    looks at what runs: so a withdrawn task is either seen running or is not begun.
    """

    # Native alignment makes struct copy each number as a whole.
    _RUNNING = struct.Struct("@QQQB")
    _WITHDRAWN = struct.Struct("@QQ")
    _NUMBER = struct.Struct("@Q")
    _NAME_SIZE, _WITHDRAWN_AT, _RESIDENT_AT, _NAME_AT = 24, 32, 48, 56
    _NAME_BYTES = 200

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, mmap.PAGESIZE)

    @classmethod
    def create(cls) -> "SharedStatus":
        """A fresh page in an unlinked temporary file, whose `fd` a child inherits."""
        with tempfile.TemporaryFile() as file:
            file.truncate(mmap.PAGESIZE)
            return cls(os.dup(file.fileno()))

    def close(self) -> None:
        """Gives the memory back."""
        self._memory.close()
        os.close(self.fd)

    def set_running_task(self, sequence: int, now_ns: int) -> None:
        """Executor: from now on this task runs (0: none). Its function is not known yet."""
        self._RUNNING.pack_into(self._memory, 0, sequence, now_ns, sequence ^ now_ns, 0)

    def set_function(self, function: bytes) -> None:
        """Executor: what the running task calls."""
        size = min(len(function), self._NAME_BYTES)
        self._memory[self._NAME_AT : self._NAME_AT + size] = function[:size]
        self._memory[self._NAME_SIZE] = size

    def running_task(self, now_ns: int) -> tuple[int, int]:
        """The running task's sequence number, 0 for none, and when it began by the monotonic clock, in nanoseconds."""
        sequence, began_ns, check, _ = self._RUNNING.unpack_from(self._memory, 0)
        # Numbers that do not match are being written at this moment: the task begins now.
        return sequence, began_ns if sequence ^ began_ns == check else now_ns

    @property
    def function(self) -> str:
        """The public name of what the running task calls; '' where it is not known yet."""
        size = self._memory[self._NAME_SIZE]
        return self._memory[self._NAME_AT : self._NAME_AT + size].decode("utf-8", "replace")

    def withdraw(self, above: int, up_to: int) -> None:
        """Agent: tasks with a sequence number in (above, up_to] are not to be begun any more."""
        self._WITHDRAWN.pack_into(self._memory, self._WITHDRAWN_AT, above, up_to)

    def is_withdrawn(self, sequence: int) -> bool:
        """Whether the task is not to be begun any more."""
        above, up_to = self._WITHDRAWN.unpack_from(self._memory, self._WITHDRAWN_AT)
        return bool(above < sequence <= up_to)

    @property
    def resident_bytes(self) -> int:
        """The executor's resident memory when it last looked; 0 before that and where it cannot know."""
        return int(self._NUMBER.unpack_from(self._memory, self._RESIDENT_AT)[0])

    @resident_bytes.setter
    def resident_bytes(self, size: int) -> None:
        self._NUMBER.pack_into(self._memory, self._RESIDENT_AT, size)
