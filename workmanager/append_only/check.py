"""Find out whether a server could not be started because its append-only files cannot be read."""

import mmap
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from workmanager.append_only.commands import Damaged, end_of_command
from workmanager.append_only.files import find_files

CHECK_RDB, CHECK_AOF = "redis-check-rdb", "redis-check-aof"
"""Under these names, every server program of Redis and Valkey checks or cuts off a file instead of serving."""
_MAGIC = (b"REDIS", b"VALKEY")


@dataclass(frozen=True, slots=True)
class Damage:
    """Why a server cannot read its append-only files.

    Attributes:
        reason: which file, and what is wrong with it.
        remedy: what a person can do if no other server has the data.
    """

    reason: str
    remedy: str


def find_damage(directory: Path, server: str) -> Damage | None:
    """Return what is wrong with the files of the server in `directory`; None if they can be read.

    Reads everything, so it is for a server that has just failed to start. It changes nothing. A missing right or a full
    disk is no damage.

    Args:
        server: path of the server's program, which checks the snapshot.

    Raises:
        OSError: a file cannot be read for a reason of the file system.
    """
    restore = f"restore {directory} from a backup"
    try:
        files = find_files(directory)
    except (ValueError, UnicodeDecodeError) as error:
        return Damage(str(error), restore)
    present = [path for path in (files.base, *files.increments) if path is not None]
    missing = next((path for path in present if not path.exists()), None)
    if missing is not None:
        return Damage(f"{missing} is missing", restore)
    if files.base is not None and _is_snapshot(files.base):
        present.remove(files.base)
        if problem := _check_snapshot(files.base, server):
            return Damage(problem, restore)
    for path in present:
        if problem := _check_commands(path, is_last=path == present[-1]):
            cut = f"bash -c 'exec -a {CHECK_AOF} {server} --fix {path}'"
            return Damage(
                problem,
                f"{restore}, or make a copy of it and cut the file off at the damage, which loses what follows: {cut}",
            )
    return None


def _is_snapshot(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6).startswith(_MAGIC)


def _check_snapshot(path: Path, server: str) -> str | None:
    run = subprocess.run(
        [CHECK_RDB, str(path)], executable=server, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if run.returncode == 0:
        return None
    lines = run.stdout.decode(errors="replace").splitlines()
    # The line after "--- RDB ERROR DETECTED ---".
    reason = next((after.strip() for line, after in pairwise(lines) if "ERROR DETECTED" in line), f"says {CHECK_RDB}")
    return f"{path} is damaged: {reason}"


def _check_commands(path: Path, *, is_last: bool) -> str | None:
    if not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position = 0
        while position < len(data):
            try:
                following = end_of_command(data, position)
            except Damaged as error:
                return f"{path} is damaged: {error}"
            if following is None:
                # A server takes a last file that ends within a command.
                return None if is_last else f"{path} ends within a command, and is not the last file"
            position = following
    return None
