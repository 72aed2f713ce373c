"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import random
import socket

# Below the range that systems give to outgoing connections, so that a port stays free until it is bound.
_LOWEST, _HIGHEST = 20_000, 32_000
_TRIES = 1_000


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether nobody listens on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(*, consecutive: int = 1) -> int:
    """The first of `run` neighbouring ports that are free now; another process may take one first.

    Raises:
        OSError: none was found.
    """
    for _ in range(_TRIES):
        first = random.randrange(_LOWEST, _HIGHEST - consecutive)
        if all(map(is_free, range(first, first + consecutive))):
            return first
    raise OSError(f"no {consecutive} free ports between {_LOWEST} and {_HIGHEST}")
