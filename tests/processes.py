"""Look up running processes, for tests that kill and count them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
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
    """Return process id and command line of the processes whose working directory is `directory` or below it.

    Only root can tell the directory of agents, managers and `up`. For anybody else, those count that have a parent or a
    child which is there.
    """
    processes = [process for entry in Path("/proc").iterdir() if entry.name.isdigit() for process in _look_at(entry)]
    inside = {each.pid for each in processes if each.directory and each.directory.is_relative_to(directory)}
    unknown = [each for each in processes if each.directory is None]
    while found := [each for each in unknown if each.pid not in inside and _is_relative(each, inside, processes)]:
        inside.update(each.pid for each in found)
    return [f"{each.pid} {each.command_line}".strip() for each in processes if each.pid in inside]


@dataclass(frozen=True, slots=True)
class _Process:
    """A process of this user that runs; `directory` is None if it does not tell it."""

    pid: int
    parent: int
    directory: Path | None
    command_line: str


def _look_at(entry: Path) -> Iterator[_Process]:
    try:
        command_line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        status = dict(line.split(":\t", 1) for line in (entry / "status").read_text().splitlines() if ":\t" in line)
        if status["Uid"].split()[0] != str(os.getuid()) and os.getuid() != 0:
            return
        try:
            directory = (entry / "cwd").readlink()
        except PermissionError:
            directory = None
    except OSError:  # the process has just ended
        return
    if status["State"][0] not in "ZX":
        yield _Process(int(entry.name), int(status["PPid"]), directory, command_line)


def _is_relative(process: _Process, inside: set[int], processes: list[_Process]) -> bool:
    return process.parent in inside or any(each.pid in inside and each.parent == process.pid for each in processes)
