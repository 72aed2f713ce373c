"""Job functions that forge what their executor tells the agent, or spoil what it shares with it."""

import gc
import math
import mmap
import os
import random
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]  # It has no types.
from rq import get_current_job

from tests.acceptance.worker_node.job_functions import note
from worker_node.ipc.frames import FrameWriter
from worker_node.ipc.status_page import StatusPage, WithdrawalPage

FUNCTION = f"{__name__}.forge"
GOOD = (0, FUNCTION, 0.0, b"MQ==", None, "")
"""A report but for its number."""


def forge(path: str, how: str) -> str:
    """Note the run, do harm, and return."""
    note(path, f"forge {how}")
    HARM[how](_sequence())
    return "done"


def forge_and_stay(path: str, how: str) -> None:
    """Note the run, do harm, and run on until the process is killed."""
    note(path, f"forge {how}")
    HARM[how](_sequence())
    time.sleep(60)


def forge_and_hold_up_the_next(path: str, how: str) -> str:
    """Note the run, do harm, and return. What is left behind then takes a while to undo."""
    note(path, f"forge {how}")
    sys.stdin = _SlowToGo()  # type: ignore[assignment]  # It goes when the executor restores the stream.
    HARM[how](_sequence())
    return "done"


class _SlowToGo:
    closed = False

    def __del__(self) -> None:
        time.sleep(0.6)  # Longer than the watchdog's period.


def garble(path: str, seed: int) -> str:
    """Note the run, and write random bytes wherever the agent may read."""
    note(path, f"garble {seed}")
    source = random.Random(seed)
    targets: list[Callable[[bytes], Any]] = [each.send for each in _sockets()]
    targets += [_onto_the_page, lambda data: _writers()[0].pack(data), _in_a_frame_of_the_executor]
    for _ in range(source.randint(1, 4)):
        source.choice(targets)(source.randbytes(source.choice([1, 7, 12, 40, 3000])))
    if source.random() < 0.3:
        time.sleep(0.15)
    return "done"


def _sequence() -> int:
    job: Any = get_current_job()
    sequence: int = job._source[1]
    return sequence


def _sockets() -> list[socket.socket]:
    """Return duplicates of all sockets of the process."""
    found = []
    for fd in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                found.append(socket.socket(fileno=os.dup(fd)))
        except OSError:
            continue
    return found


def _writers() -> list[FrameWriter]:
    """Return what knows the key of the executor's frames."""
    return [each for each in gc.get_objects() if type(each) is FrameWriter]


def _send(*reports: tuple[Any, ...]) -> None:
    """Send frames as the executor does, into each socket."""
    writer = _writers()[0]
    for connection in _sockets():
        for report in reports:
            connection.sendall(writer.pack(report))


def _in_a_frame_of_the_executor(data: bytes) -> None:
    connection = _sockets()[0]
    connection.sendall(struct.pack(">8sI", _writers()[0]._key, len(data)) + data)


def _page() -> mmap.mmap:
    (page,) = [each for each in gc.get_objects() if type(each) is StatusPage]
    return page._memory


def _onto_the_page(data: bytes) -> None:
    page = _page()
    page[: len(data)] = data


def _flood(_: int) -> None:
    def write(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"x" * 100_000)

    for connection in _sockets():
        threading.Thread(target=write, args=(connection,), daemon=True).start()
    time.sleep(0.3)


def _flood_of_queries(sequence: int) -> None:
    for number in range(5000):
        _send((number, sequence, "hgetall", "", b""))


def _replace_sockets(_: int) -> None:
    for fd in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.dup2(os.open(os.devnull, os.O_RDWR), fd)
        except OSError:
            continue


def _shut_sockets_down(_: int) -> None:
    for connection in _sockets():
        connection.shutdown(socket.SHUT_RDWR)


def _close_sockets(_: int) -> None:
    for fd in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.close(fd)
        except OSError:
            continue


def _open_the_sockets_by_path(_: int) -> None:
    for fd in range(3, 64):
        try:
            Path(f"/proc/self/fd/{fd}").write_bytes(b"\xff" * 100)
        except OSError:
            continue


def _truncate(_: int) -> None:
    for fd in range(3, 64):
        try:
            os.ftruncate(fd, 0)
        except OSError:
            continue


def _take_tasks(_: int) -> None:
    """Take what the agent sends to the executor."""
    connection = _sockets()[0]
    connection.settimeout(0.2)
    try:
        while connection.recv(1 << 16):
            continue
    except OSError:
        return


def _withdraw_nothing(_: int) -> None:
    pages = [each for each in gc.get_objects() if type(each) is WithdrawalPage]
    for page in pages:
        try:
            page._memory[:16] = b"\xff" * 16
        except TypeError:
            continue


HARM: dict[str, Callable[[int], Any]] = {
    "a value that is no base64": lambda n: _send((n, 0, FUNCTION, 0.0, b"no base64!", None, "")),
    "NaN seconds": lambda n: _send((n, 0, FUNCTION, math.nan, b"MQ==", None, "")),
    "a run time of a year": lambda n: _send((n, 0, FUNCTION, 3e7, b"MQ==", None, "")),
    "another function": lambda n: _send((n, 0, "noop", 0.0, b"MQ==", None, "")),
    "values of other types": lambda n: _send((n, "0", 1, None, 2.5, [], b"")),
    "a result of 1.2 MiB": lambda n: _send((n, 0, FUNCTION, 0.0, b"MQ==" * 420_000, None, "")),
    "reports for jobs not begun": lambda n: _send(*[(n + more, *GOOD) for more in range(1, 5)]),
    "reports for all jobs": lambda n: _send(*[(number, *GOOD) for number in range(n + 100)]),
    "a frame of 400 MiB": lambda n: [each.send(struct.pack(">I", 400 << 20) + b"x" * 99) for each in _sockets()],
    "a keyed frame of 400 MiB": lambda n: [
        each.send(struct.pack(">8sI", _writers()[0]._key, 400 << 20)) for each in _sockets()
    ],
    "a frame of its own": lambda n: [
        each.send(struct.pack(">I", len(msgpack.packb([[n, *GOOD]]))) + msgpack.packb([[n, *GOOD]]))
        for each in _sockets()
    ],
    "one byte": lambda n: [each.send(b"\0") for each in _sockets()],
    "a byte in place of a query": lambda n: _sockets()[1].send(b"\0"),
    "nested lists": lambda n: _in_a_frame_of_the_executor(b"\x91" * 100_000),
    "a flood": _flood,
    "a flood of queries": _flood_of_queries,
    "replaced sockets": _replace_sockets,
    "closed sockets": _close_sockets,
    "shut down sockets": _shut_sockets_down,
    "sockets by path": _open_the_sockets_by_path,
    "truncated memory": _truncate,
    "taken tasks": _take_tasks,
    "withdrawn tasks": _withdraw_nothing,
    "a page of ones": lambda n: _onto_the_page(b"\xff" * mmap.PAGESIZE),
    "a page of zeros": lambda n: _onto_the_page(bytes(mmap.PAGESIZE)),
    "a later task on the page": lambda n: _onto_the_page(struct.pack("@QQQ", n + 1, 5, (n + 1) ^ 5)),
    "the last task on the page": lambda n: _onto_the_page(struct.pack("@QQQ", 1 << 40, 5, 1 << 40 ^ 5)),
    "the future on the page": lambda n: _onto_the_page(struct.pack("@QQQ", n, 1 << 62, n ^ 1 << 62)),
}
