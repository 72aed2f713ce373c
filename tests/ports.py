"""Ports for programs that are told theirs, and end where it is taken meanwhile.

Those that servers choose for themselves while tests run lie beyond them (`workmanager.local.ports`), and each of the
processes that pytest spreads the tests over has some to itself.
"""

from __future__ import annotations

import os
import random

from workmanager.local import ports

_LOWEST, _COUNT = 12_000, 500
_WORKERS = 16


def pick_port(*, consecutive: int = 1, bus_offset: int = 0) -> int:
    """The first of `run` neighbouring ports that are free, and that no other test takes.

    Args:
        bus_offset: another port that must be free lies so much further on.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    lowest = _LOWEST + worker * _COUNT
    while True:
        first = random.randrange(lowest, lowest + _COUNT - consecutive)
        if all(map(ports.is_free, (*range(first, first + consecutive), first + bus_offset))):
            return first
