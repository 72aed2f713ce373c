"""Linux network namespaces: the simulated cloud has one of its own, and each of its instances another.

A namespace belongs to a thread, and to the threads and processes that it starts; it is gone with the last of them, so
nothing is left behind however a test ends.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLOUD_ADDRESS = "10.99.0.1"
"""Of the cloud itself: its endpoint, and whatever a test runs beside it."""
_CLONE_NEWNET = 0x40000000


def unavailable_reason() -> str:
    """Why no namespaces can be made here; '' where they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


@contextmanager
def isolated_network() -> Iterator[None]:
    """Within it, the calling thread is in a new network, whose one address is `CLOUD_ADDRESS`."""
    with _returning():
        _check(_libc().unshare(_CLONE_NEWNET))
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{CLOUD_ADDRESS}/32", "dev", "lo")
        run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        yield


@contextmanager
def in_network_of(pid: int) -> Iterator[None]:
    """Within it, the calling thread is in the network of that process. Sockets made there stay there."""
    with _returning():
        _enter(Path(f"/proc/{pid}/ns/net"))
        yield


def connect_instance(pid: int, address: str, link: str) -> None:
    """Gives the network of that process an address, and a way to everything that this thread's network reaches.

    Args:
        link: name of this side's end, at most 15 characters.
    """
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    run("ip", "link", "set", link, "up")
    # The last one that had it may have gone without a word.
    run("ip", "route", "replace", f"{address}/32", "dev", link)
    with in_network_of(pid):
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{address}/32", "dev", "eth0")
        run("ip", "link", "set", "eth0", "up")
        run("ip", "route", "add", "default", "via", CLOUD_ADDRESS, "dev", "eth0", "onlink", "src", address)


def add_address(pid: int, address: str, link: str) -> None:
    """Gives the network of that process another address, on the link that `connect` made."""
    run("ip", "route", "replace", f"{address}/32", "dev", link)
    with in_network_of(pid):
        run("ip", "address", "add", f"{address}/32", "dev", "eth0")


def run(*command: str) -> None:
    """Runs a command.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


@contextmanager
def _returning() -> Iterator[None]:
    with Path("/proc/thread-self/ns/net").open() as before:
        try:
            yield
        finally:
            _check(_libc().setns(before.fileno(), _CLONE_NEWNET))


def _enter(path: Path) -> None:
    with path.open() as namespace:
        _check(_libc().setns(namespace.fileno(), _CLONE_NEWNET))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
