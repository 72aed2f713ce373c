"""The listening socket, and how many connections it can have."""

import resource
import socket

BACKLOG = 2048
RESERVED_DESCRIPTORS = 512
"""For Redis connections, workers and files."""

# A client that is gone without a word, as after a power loss, is noticed within two minutes.
_PROBE_AFTER_SECONDS = 60
_PROBE_EVERY_SECONDS = 15
_PROBES = 4
_UNACKNOWLEDGED_MILLISECONDS = 120_000


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free port. Its connections inherit its options.

    Raises:
        OSError: the port is in use, or the host is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        for option, value in (
            (socket.TCP_KEEPIDLE, _PROBE_AFTER_SECONDS),
            (socket.TCP_KEEPINTVL, _PROBE_EVERY_SECONDS),
            (socket.TCP_KEEPCNT, _PROBES),
            (socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MILLISECONDS),
        ):
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
    return listener


def raise_descriptor_limit(max_connections: int) -> int:
    """Let this process have enough file descriptors for so many connections, as far as the system allows it.

    Returns:
        How many connections it can have, at most `max_connections`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_connections + RESERVED_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return max_connections
    reserved = min(RESERVED_DESCRIPTORS, soft // 4)
    return min(max_connections, soft - reserved)
