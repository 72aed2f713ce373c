"""Job functions that look for secrets, and that spoil what they can reach."""

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from worker_node.functions import PermanentError

_PIDFD_GETFD = 438
"""System call of Linux 5.6, the same on all its architectures that have it."""
DESCRIPTORS = 64


def fail(text: str) -> None:
    """Fail for good."""
    raise PermanentError(text)


def look_around(start: str, end: str) -> list[str]:
    """Return which processes show the text in their environment or command line to this one, and its own variables."""
    secret = start + end
    found = [name for name, value in os.environ.items() if secret in value]
    for process in Path("/proc").iterdir():
        for name in ("environ", "cmdline"):
            try:
                text = (process / name).read_bytes()
            except OSError:
                continue
            if secret.encode() in text:
                found.append(f"{process}/{name}: {(process / 'cmdline').read_bytes()!r}")
    return found


def spoil_descriptors() -> int:
    """Shut down, write to and close every descriptor of its own, and of the system's programs if it gets them."""
    taken = list(_descriptors_of_others())
    for fd in [*taken, *range(1024)]:
        with suppress(OSError):
            os.set_blocking(fd, False)
            os.write(fd, b"\n")
        with suppress(OSError):
            socket.socket(fileno=os.dup(fd)).shutdown(socket.SHUT_RDWR)
        if fd in taken:
            os.close(fd)
    os.closerange(0, 1024)
    return len(taken)


def _descriptors_of_others() -> Iterator[int]:
    libc = ctypes.CDLL(None)
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            if not {b"manager", b"workmanager", b"worker_node"} & set(command):
                continue
            pidfd = os.pidfd_open(int(process.name))
        except (OSError, ValueError):
            continue
        for number in range(DESCRIPTORS):
            fd = libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
            if fd >= 0:
                yield fd
        os.close(pidfd)
