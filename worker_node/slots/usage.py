"""What a running job uses: processor time and processes, of its executor and all that it has started."""

import os
from contextlib import suppress
from typing import NamedTuple

from processes.descendants import descendants_of

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_FIRST_TIME, _LAST_TIME = 11, 15
"""Of the fields behind the name in /proc/PID/stat: user and system time, own and of children that have ended."""


class JobUsage(NamedTuple):
    """Processor time since the executor's start, and processes besides the executor."""

    cpu_seconds: float
    processes: int


def measure(executor_pid: int) -> JobUsage:
    """Measure an executor; zeros if it is gone, or the system does not tell."""
    descendants = list(descendants_of(executor_pid))
    states = [_read_stat(pid) for pid in (executor_pid, *descendants)]
    ticks = sum(sum(map(int, fields[_FIRST_TIME:_LAST_TIME])) for fields in states)
    return JobUsage(ticks / _TICKS_PER_SECOND, sum(fields[:1] not in ([], [b"Z"]) for fields in states[1:]))


def _read_stat(pid: int) -> list[bytes]:
    """Return the fields of /proc/PID/stat from the process' state on; none if it is gone."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()
    return []
