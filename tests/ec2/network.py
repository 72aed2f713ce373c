"""Linux network namespaces: one for the simulated cloud and one for each of its instances.

A namespace belongs to a thread and to the threads and processes that it starts. It ends with the last of them, so a
test leaves nothing behind, however it ends.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLOUD_ADDRESS = "10.99.0.1"
"""Address of the cloud: its endpoint, and programs that a test runs outside the instances."""
_CLONE_NEWNET = 0x40000000


def unavailable_reason() -> str:
    """Return the reason why no namespaces can be created here; '' if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


@contextmanager
def isolated_network() -> Iterator[None]:
    """Move the calling thread into a new network whose only address is `CLOUD_ADDRESS`, for the block."""
    with _returning():
        _check(_libc().unshare(_CLONE_NEWNET))
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{CLOUD_ADDRESS}/32", "dev", "lo")
        run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        yield


@contextmanager
def in_network_of(pid: int) -> Iterator[None]:
    """Move the calling thread into a process's network for the block. Sockets created there stay there."""
    with _returning():
        _enter(Path(f"/proc/{pid}/ns/net"))
        yield


def connect_instance(pid: int, address: str, link: str) -> None:
    """Give a process's network an address and a route to everything that this thread's network reaches.

    Args:
        link: name of this side's end of the link, at most 15 characters.
    """
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    run("ip", "link", "set", link, "up")
    # Replace the route of an earlier instance with this address that was killed.
    run("ip", "route", "replace", f"{address}/32", "dev", link)
    with in_network_of(pid):
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "add", f"{address}/32", "dev", "eth0")
        run("ip", "link", "set", "eth0", "up")
        run("ip", "route", "add", "default", "via", CLOUD_ADDRESS, "dev", "eth0", "onlink", "src", address)


def add_address(pid: int, address: str, link: str) -> None:
    """Give a process's network another address on the link that `connect_instance` created."""
    run("ip", "route", "replace", f"{address}/32", "dev", link)
    with in_network_of(pid):
        run("ip", "address", "add", f"{address}/32", "dev", "eth0")


def run(*command: str) -> None:
    """Run a command.

    Raises:
        RuntimeError: it failed; the message has its stderr.
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
