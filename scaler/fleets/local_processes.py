"""Instances that are processes of this machine: each manager on it can see which of them have ended.

The local fleet describes only the processes that its own manager started. Without this, those of a manager that is gone
would count as booting until they are given up.
"""

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from scaler.fleets.instances import DescribedInstance, Instance

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Differs between machines, and after each start of one. Their names can be the same."""
NAMESPACE = Path("/proc/self/ns/pid")
"""Differs between containers, whose processes have numbers of their own."""


def identity_of(pid: int) -> str:
    """Return what identifies a process while it runs; '' if the system does not tell, as on macOS."""
    machine = _machine()
    return f"{machine}/{pid}" if machine else ""


def ended_before_registration(instances: Iterable[Instance]) -> list[DescribedInstance]:
    """Describe the instances that are processes of this machine, and ended before their workers registered.

    One is missing if its number belongs to another process now.
    """
    return [
        DescribedInstance(each.id, each.launched_at, each.token, zone=each.zone, ended=True, interrupted=True)
        for each in instances
        if each.process and each.arrived_at is None and _has_ended(each.process)
    ]


def _has_ended(identity: str) -> bool:
    machine, _, number = identity.rpartition("/")
    if machine != _machine() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # It belongs to another user, or is no number of a process.
        return False
    return False


@cache
def _machine() -> str:
    try:
        return f"{BOOT_ID.read_text().strip()}/{NAMESPACE.readlink()}"
    except OSError:
        return ""
