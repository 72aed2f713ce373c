"""Pages of memory that the agent shares with one executor: what both must know at once, without a message.

No lock is needed to withdraw a task. The executor first writes which task it starts and then checks whether it was
withdrawn; the agent first withdraws and, a moment later, checks which task runs. So a withdrawn task either shows as
running or does not start.

Each number is stored as a whole, through a memoryview. `struct.pack_into` is of no use here: it writes zeros first.

Jobs run in the executor's process. They can write to its page, so for the agent it is only a hint. They cannot shrink
it, which would kill the agent when it reads, and they cannot write to the agent's page.
"""

import fcntl
import mmap
import os
import sys
from contextlib import suppress

_FUTURE_WRITE_SEAL = 0x10
"""F_SEAL_FUTURE_WRITE of Linux 5.1 and later; Python does not name it."""


class StatusPage:
    """The executor's page: the running task, and the memory in use."""

    _SEQUENCE, _STARTED, _CHECK, _NAME_SIZE, _RESIDENT, _VERSION_SIZE = range(6)
    _NAME_AT, _NAME_BYTES = 6 * 8, 200
    _VERSION_AT, _VERSION_BYTES = _NAME_AT + _NAME_BYTES, 64

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, mmap.PAGESIZE)
        self._numbers = memoryview(self._memory).cast("Q")

    @classmethod
    def create(cls) -> "StatusPage":
        """Return a new page, whose `fd` the executor inherits."""
        page = cls(_new_page())
        _seal(page.fd, 0)
        return page

    def close(self) -> None:
        """Unmap the page."""
        self._numbers.release()
        self._memory.close()
        os.close(self.fd)

    def set_running_task(self, sequence: int, now_ns: int) -> None:
        """Executor: note that this task starts, or has ended (time 0). Its function is not known yet."""
        numbers = self._numbers
        numbers[self._STARTED] = now_ns
        numbers[self._CHECK] = sequence ^ now_ns
        numbers[self._NAME_SIZE] = numbers[self._VERSION_SIZE] = 0
        numbers[self._SEQUENCE] = sequence

    def set_function(self, function: bytes) -> None:
        """Executor: note the public name of the function that the running task calls."""
        size = min(len(function), self._NAME_BYTES)
        self._memory[self._NAME_AT : self._NAME_AT + size] = function[:size]
        self._numbers[self._NAME_SIZE] = size

    def set_version(self, version: bytes) -> None:
        """Executor: note the version of the running task's function."""
        self._memory[self._VERSION_AT : self._VERSION_AT + len(version)] = version
        self._numbers[self._VERSION_SIZE] = len(version)

    def running_task(self, now_ns: int) -> tuple[int, int]:
        """Return the last task that was started (0: none), and when by the monotonic clock (0: it has ended)."""
        numbers = self._numbers
        sequence, started_ns, check = numbers[self._SEQUENCE], numbers[self._STARTED], numbers[self._CHECK]
        # If the numbers do not match, the executor is writing them at this moment: the task starts now.
        return sequence, started_ns if sequence ^ started_ns == check else now_ns

    @property
    def function(self) -> str:
        """Public name of the function that the running task calls; '' until it is known."""
        size = min(self._numbers[self._NAME_SIZE], self._NAME_BYTES)
        return self._memory[self._NAME_AT : self._NAME_AT + size].decode("utf-8", "replace")

    @property
    def version(self) -> str:
        """Version of the function that the running task calls; '' if it has none, or as long as it is not known."""
        size = min(self._numbers[self._VERSION_SIZE], self._VERSION_BYTES)
        return self._memory[self._VERSION_AT : self._VERSION_AT + size].decode("ascii", "replace")

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the executor at its last measurement; 0 before the first or if it cannot be measured."""
        return self._numbers[self._RESIDENT]

    @resident_bytes.setter
    def resident_bytes(self, size: int) -> None:
        self._numbers[self._RESIDENT] = size


class WithdrawalPage:
    """The agent's page: tasks that were withdrawn, how much output was read. The executor can only read it.

    Attributes:
        output_reads: how many bytes of each output stream the agent has read, times two; plus one while it reads.
    """

    def __init__(self, fd: int, memory: mmap.mmap) -> None:
        self.fd = fd
        self._memory = memory
        self._numbers = memoryview(memory).cast("Q")
        self.output_reads = self._numbers[1:3]

    @classmethod
    def create(cls) -> "WithdrawalPage":
        """Return a new page, whose `fd` the executor inherits."""
        fd = _new_page()
        memory = mmap.mmap(fd, mmap.PAGESIZE)
        _seal(fd, _FUTURE_WRITE_SEAL)
        return cls(fd, memory)

    @classmethod
    def open(cls, fd: int) -> "WithdrawalPage":
        """Return the page that the executor has inherited."""
        return cls(fd, mmap.mmap(fd, mmap.PAGESIZE, prot=mmap.PROT_READ))

    def close(self) -> None:
        """Unmap the page."""
        self.output_reads.release()
        self._numbers.release()
        self._memory.close()
        os.close(self.fd)

    def withdraw(self, up_to: int) -> None:
        """Agent: forbid the executor to start a task up to this sequence number."""
        self._numbers[0] = up_to

    def set_output_read(self, stream: int, position: int, *, is_reading: bool) -> None:
        """Agent: note how much of an output stream it has read, and whether it reads at this moment."""
        self.output_reads[stream] = position << 1 | is_reading

    def is_withdrawn(self, sequence: int) -> bool:
        """Executor: return whether the task was withdrawn, so that it must not start."""
        return sequence <= self._numbers[0]


def _new_page() -> int:
    """Return the descriptor of a page of zeros that no path leads to."""
    if sys.platform == "linux":
        fd = os.memfd_create("workmanager", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, mmap.PAGESIZE)
        return fd
    import tempfile  # Here, because it is large and Linux does not need it.

    with tempfile.TemporaryFile() as file:
        file.truncate(mmap.PAGESIZE)
        return os.dup(file.fileno())


def _seal(fd: int, seals: int) -> None:
    """Keep everybody from changing the size of a page, and from what else the seals forbid."""
    if sys.platform == "linux":
        size_seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
        with suppress(OSError):  # The kernel is older than the seal.
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, size_seals | seals)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, size_seals | fcntl.F_SEAL_SEAL)
