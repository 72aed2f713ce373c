"""What an executor's jobs write to their standard output and standard error: read, relayed, and kept for each job.

Each stream is a pipe. The executor tells with its report where in each stream its job has begun and ended, if it has
written anything (`executor/output_meter.py`), and the agent tells it how much it has read (`ipc/status_page.py`). So
jobs that print nothing cost nothing here.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from heapq import merge

from jobqueue.lifecycle.notes import NewLine
from worker_node.ipc.protocol import STREAMS, OutputRange
from worker_node.ipc.status_page import WithdrawalPage
from worker_node.redaction import Redaction
from worker_node.slots.captured_bytes import CapturedBytes, Line
from worker_node.slots.output_relay import LineRelay, OutputRelay

READ_BYTES = 1 << 16
MAX_READS = 16
"""At once: a job, or another process that has its end of the pipe, can write as fast as the agent reads."""


class ExecutorOutput:
    """The two streams of one executor. Close `write_fds` when the executor has inherited them.

    Args:
        page: tells the executor how much has been read.
    """

    def __init__(self, redaction: Redaction, page: WithdrawalPage) -> None:
        self._relay = OutputRelay(redaction, asyncio.get_running_loop().time)
        self._streams = [_Stream(index, page, self._relay.lines()) for index in range(len(STREAMS))]

    @property
    def write_fds(self) -> tuple[int, int]:
        """The executor's ends: of standard output and standard error."""
        stdout, stderr = self._streams
        return stdout.write_fd, stderr.write_fd

    def on_much(self, take_reports: Callable[[], None]) -> None:
        """Call `take_reports` before something is left out: it may belong to jobs that have ended."""
        for stream in self._streams:
            stream.on_much = take_reports

    def take(self, output: OutputRange) -> list[NewLine]:
        """Return what a job that has ended has printed. Its range comes from the executor, and may be a lie."""
        return self._merged(
            stream.take(start, end) for stream, start, end in zip(self._streams, output[::2], output[1::2], strict=True)
        )

    def take_complete(self) -> list[NewLine]:
        """Return the whole lines of a job that runs."""
        return self._merged(stream.take(0, stream.captured.last_line_end()) for stream in self._streams)

    def take_rest(self) -> list[NewLine]:
        """Return, after `close`, what the job that ran last has printed."""
        return self._merged(stream.take(0, stream.captured.end) for stream in self._streams)

    def close_write_ends(self) -> None:
        """Close the executor's ends."""
        for stream in self._streams:
            os.close(stream.write_fd)

    def close(self) -> None:
        """Read and relay what is left, and close the pipes."""
        for stream in self._streams:
            stream.close()
        self._relay.tell_left_out()

    def _merged(self, of_streams: Iterable[list[Line]]) -> list[NewLine]:
        lines = [
            [(at_ms, name, text) for at_ms, text in lines] for name, lines in zip(STREAMS, of_streams, strict=True)
        ]
        return list(merge(*lines, key=lambda line: line[0]))


class _Stream:
    def __init__(self, index: int, page: WithdrawalPage, relay: LineRelay) -> None:
        self._index = index
        self._page = page
        self._relay = relay
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self.captured = CapturedBytes()
        self.on_much: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_fd, self._on_readable)

    def take(self, start: int, end: int) -> list[Line]:
        for _ in range(MAX_READS):
            if self.captured.end >= end or not self._read():
                break
        if start >= end:
            return []
        lines, self.captured = self.captured.split(start, end)
        return lines

    def close(self) -> None:
        self._loop.remove_reader(self._read_fd)
        for _ in range(MAX_READS):
            if not self._read():
                break
            self.captured.cut()
        self._relay.close()
        os.close(self._read_fd)

    def _on_readable(self) -> None:
        if self._read() and self.captured.is_full:
            if self.on_much is not None:
                self.on_much()
            self.captured.cut()

    def _read(self) -> bool:
        """Read what has arrived, or a part of it; return whether there was any."""
        position, data = self.captured.end, None
        # Between these two notes, the executor waits if a job has just ended.
        self._page.set_output_read(self._index, position, is_reading=True)
        with suppress(BlockingIOError):
            data = os.read(self._read_fd, READ_BYTES)
        self._page.set_output_read(self._index, position + len(data or b""), is_reading=False)
        if data:
            self.captured.append(data, time.time_ns() // 1_000_000)
            self._relay.feed(data)
        elif data is not None:
            self._loop.remove_reader(self._read_fd)
        return bool(data)
