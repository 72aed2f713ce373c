"""Protocol between the agent and an executor process: frames over socket pairs, and a page of shared memory.

A frame is four bytes of length (big-endian) and a msgpack list. The agent never unpickles what an executor sends.

- First socket pair: the agent sends lists of `Task`, to be run in that order; the executor answers with lists of
  `TaskReport`. An empty list means that the executor is ready.
- Second socket pair: a running job queries its own record with `[sequence, operation, field, value]`; the agent answers
  `[ok, value]`.
- `SharedStatus`: what both must know at once, without a message.

Hot path: see benchmarks/README.md#what-limits-each-figure (`worker_noop`, `cpu_slots`).
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
SOURCES_CHANGED_EXIT_CODE, NOT_RESTORED_EXIT_CODE = 75, 76
RECYCLING_REASONS = {SOURCES_CHANGED_EXIT_CODE: "functions_changed", NOT_RESTORED_EXIT_CODE: "not_restored"}
"""Why an executor ends itself between two jobs, by its exit code: the source of its functions has changed; or it cannot
undo what a job has changed in it, and the status page tells, in place of a function's name, what that is."""
WRITABLE_FIELDS = frozenset({"meta"})
"""Fields of its own record that a running job may write."""


class Task(NamedTuple):
    """A job as the executor receives it.

    Attributes:
        sequence: number of the task within its slot, counted from 1.
        data: RQ's field of that name.
        unsupported: features of RQ that the job uses and that are not supported, so that it must not run.
        isolated: whether the job asks for a process of its own.
    """

    sequence: int
    job_id: str
    data: bytes
    from_http: bool
    unsupported: str | None
    isolated: bool = False


class TaskOutcome(IntEnum):
    """How a task ended. LOST: the process of its own in which it ran has died."""

    FINISHED = 0
    FAILED = 1
    REJECTED = 2
    RETRY = 3
    WITHDRAWN = 4
    LOST = 5


class TaskReport(NamedTuple):
    """An executor's report on one task.

    Attributes:
        function: public name of a registered function; otherwise the path in the record, or '' if the record could not
            be read.
        seconds: run time.
        body: serialised result in base64 (FINISHED, RETRY), or traceback or text (FAILED, REJECTED, LOST).
        detail: FAILED: whether the failure is permanent. RETRY: `[max, intervals, at_front]`.
        version: hash of the source of the function's module; '' for a built-in function, or if it was not imported.
    """

    sequence: int
    outcome: TaskOutcome
    function: str
    seconds: float
    body: bytes | str
    detail: Any
    version: str = ""


def pack(messages: Sequence[Any]) -> bytes:
    """Return one frame."""
    return FrameWriter().pack(messages)


class FrameWriter:
    """Frame encoder that reuses its buffer: allocating one takes longer than encoding a frame. Not thread-safe."""

    def __init__(self) -> None:
        self._packer = msgpack.Packer()

    def pack(self, messages: Sequence[Any]) -> bytes:
        """Return one frame."""
        payload: bytes = self._packer.pack(messages)
        return LENGTH.pack(len(payload)) + payload


def unpack(payload: bytes) -> list[Any]:
    """Return the messages in a frame's payload.

    Raises:
        ValueError: the payload is not a msgpack list.
    """
    messages = msgpack.unpackb(payload)
    if not isinstance(messages, list):
        raise ValueError(f"a frame holds a list, not {type(messages).__name__}")
    return messages


def read_frame(connection: socket.socket) -> list[Any] | None:
    """Wait for the next frame on a blocking socket; return its messages, or None at the end of the stream."""
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
    """Status page in memory shared by the agent and one executor: the running task, and tasks that were withdrawn.

    No lock is needed to withdraw a task. The executor first writes which task it starts and then checks whether it was
    withdrawn; the agent first withdraws and, a moment later, checks which task runs. So a withdrawn task either shows
    as running or does not start.
    """

    # With native alignment, struct copies each number as a whole.
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
        """Return a new page in an unlinked temporary file, whose `fd` the executor inherits."""
        with tempfile.TemporaryFile() as file:
            file.truncate(mmap.PAGESIZE)
            return cls(os.dup(file.fileno()))

    def close(self) -> None:
        """Unmap the page."""
        self._memory.close()
        os.close(self.fd)

    def set_running_task(self, sequence: int, now_ns: int) -> None:
        """Executor: note that this task starts (0: none runs). Its function is not known yet."""
        self._RUNNING.pack_into(self._memory, 0, sequence, now_ns, sequence ^ now_ns, 0)

    def set_function(self, function: bytes) -> None:
        """Executor: note the public name of the function that the running task calls."""
        size = min(len(function), self._NAME_BYTES)
        self._memory[self._NAME_AT : self._NAME_AT + size] = function[:size]
        self._memory[self._NAME_SIZE] = size

    def running_task(self, now_ns: int) -> tuple[int, int]:
        """Return the running task's sequence number (0: none) and its start by the monotonic clock, in nanoseconds."""
        sequence, started_ns, check, _ = self._RUNNING.unpack_from(self._memory, 0)
        # If the numbers do not match, the executor is writing them at this moment: the task starts now.
        return sequence, started_ns if sequence ^ started_ns == check else now_ns

    @property
    def function(self) -> str:
        """Public name of the function that the running task calls; '' until it is known."""
        size = self._memory[self._NAME_SIZE]
        return self._memory[self._NAME_AT : self._NAME_AT + size].decode("utf-8", "replace")

    def withdraw(self, above: int, up_to: int) -> None:
        """Agent: forbid the executor to start the tasks with a sequence number in (above, up_to]."""
        self._WITHDRAWN.pack_into(self._memory, self._WITHDRAWN_AT, above, up_to)

    def is_withdrawn(self, sequence: int) -> bool:
        """Return whether the task was withdrawn, so that it must not start."""
        above, up_to = self._WITHDRAWN.unpack_from(self._memory, self._WITHDRAWN_AT)
        return bool(above < sequence <= up_to)

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the executor at its last measurement; 0 before the first or if it cannot be measured."""
        return int(self._NUMBER.unpack_from(self._memory, self._RESIDENT_AT)[0])

    @resident_bytes.setter
    def resident_bytes(self, size: int) -> None:
        self._NUMBER.pack_into(self._memory, self._RESIDENT_AT, size)
