"""Free TCP ports on the loopback interface."""

import random
import socket

LOWEST_PORT, HIGHEST_PORT = 20_000, 32_000
"""Below the range for outgoing connections, so that a port stays free until it is bound."""
TRIES = 1_000


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Return whether no process listens on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(*, consecutive: int = 1) -> int:
    """Return the first of so many consecutive ports that are free now. Another process may take one first.

    Raises:
        OSError: none was found.
    """
    for _ in range(TRIES):
        first = random.randrange(LOWEST_PORT, HIGHEST_PORT - consecutive)
        if all(map(is_free, range(first, first + consecutive))):
            return first
    raise OSError(f"no {consecutive} consecutive free ports between {LOWEST_PORT} and {HIGHEST_PORT}")
