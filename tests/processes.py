"""Look up running processes, for tests that kill and count them."""

import os
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Return whether the process runs. A zombie counts as ended."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def children_of(pid: int) -> list[int]:
    """Return the process ids of the children of a process, including zombies."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def running_in(directory: Path) -> list[str]:
    """Return process id and command line of the processes whose working directory is `directory` or below it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            working_directory = (entry / "cwd").readlink()
            command_line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # the process has just ended, or belongs to another user
            continue
        if working_directory.is_relative_to(directory) and is_alive(int(entry.name)):
            found.append(f"{entry.name} {command_line}".strip())
    return found
