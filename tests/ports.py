"""Ports for programs that get their port as an option and exit if it is in use.

Servers that choose their own port use others (`workmanager.local.ports`). Each process of pytest-xdist has its own
range.
"""

import os
import random

from workmanager.local import ports

_LOWEST, _COUNT = 12_000, 500
_WORKERS = 16


def pick_port(*, consecutive: int = 1, bus_offset: int = 0) -> int:
    """Return the first of `consecutive` neighbouring ports that are free and that no other test process picks.

    Args:
        bus_offset: the port this far above the first must be free too (the cluster bus of a Redis server).
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    lowest = _LOWEST + worker * _COUNT
    while True:
        first = random.randrange(lowest, lowest + _COUNT - consecutive)
        if all(map(ports.is_free, (*range(first, first + consecutive), first + bus_offset))):
            return first
