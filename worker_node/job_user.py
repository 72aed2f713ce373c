"""Executors as a user of their own: jobs have neither the agent's rights and files, nor may they end it."""

import os
import pwd
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

_CAPABILITIES = {"CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7}
"""What the agent needs to become that user, and to end its processes: bits of CapEff in /proc/PID/status."""


@dataclass(frozen=True, slots=True)
class JobUser:
    """The user of a worker's executors.

    Attributes:
        command: what stands before an executor's command line. It leaves the agent's rights behind, so that the
            executor has none from its first instruction on.
        environment: the variables that name the user.
    """

    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


OWN_USER = JobUser()
"""Executors run as the agent's user."""


def find_job_user(name: str) -> JobUser:
    """Look up the user that is named; '' is the agent's own.

    Raises:
        ValueError: there is no such user, or this process may not start programs as that user.
    """
    if not name:
        return OWN_USER
    if sys.platform != "linux":
        raise ValueError("executors can have a user of their own on Linux only")
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise ValueError(f"there is no user {name!r}") from None
    if user.pw_uid in (0, os.geteuid()):
        raise ValueError(f"{name!r} is {'root' if user.pw_uid == 0 else 'the user of the worker itself'}")
    program = shutil.which("setpriv")
    if program is None:
        raise ValueError("the program setpriv (util-linux) is not installed")
    if missing := _missing_capabilities():
        raise ValueError(f"the worker needs {', '.join(missing)}, or must be started by root")
    return JobUser(
        command=(
            *(program, "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"),
            *("--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", "--"),
        ),
        environment=(("HOME", user.pw_dir), ("USER", name), ("LOGNAME", name)),
    )


def _missing_capabilities() -> list[str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    held = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return [name for name, bit in _CAPABILITIES.items() if not held >> bit & 1]
