"""Repair append-only files before a server starts: remove NULs that no command contains.

At the end. Some file systems, ext4 with its defaults among them, save a file's new length before the data of its last
block. After a power cut that data reads as NULs. Redis and Valkey load a file that ends within a command. They refuse
one that ends in NULs (https://github.com/valkey-io/valkey/issues/1148), or take the NULs for the rest of a command. No
command ends in a NUL. So NULs at the end are part of an unfinished write that was never synced: the last second or two
(`appendfsync everysec`).

Between commands. If its disk is full, a server cuts an unfinished write off and repeats it later. If the file was begun
by a rewrite, Redis 7 and Valkey repeat it further behind, so that a gap of NULs remains (docs/decisions/0013).

The servers' own check tool is not used: it asks for confirmation, reads all files whole, and truncates at any damage.
"""

import logging
import mmap
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from workmanager.append_only.commands import Damaged, find_gaps, may_have_gaps
from workmanager.append_only.files import find_files

log = logging.getLogger(__name__)

CHUNK_BYTES = 65_536
COPY_BYTES = 8 * 1024 * 1024
REPAIRED_SUFFIX = ".repaired"


def repair(directory: Path) -> int:
    """Repair the append-only files of the server that is about to start in `directory`.

    Files that are damaged in another way stay as they are: the server will say so.

    Returns:
        the number of bytes removed.

    Raises:
        OSError: a file cannot be read or changed.
    """
    try:
        increments = [path for path in find_files(directory).increments if path.exists()]
    except ValueError:
        return 0
    removed = truncate_trailing_nuls(increments[-1]) if increments else 0
    return removed + sum(map(remove_gaps, increments))


def truncate_trailing_nuls(path: Path) -> int:
    """Remove the NULs at the end of a file; return their number."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        kept = size
        while kept:
            chunk_start = max(0, kept - CHUNK_BYTES)
            file.seek(chunk_start)
            data = file.read(kept - chunk_start).rstrip(b"\0")
            kept = chunk_start + len(data)
            if data:
                break
        if kept < size:
            file.truncate(kept)
            os.fsync(file.fileno())
            log.warning(
                "event=append_only_truncated file=%s bytes=%d reason=trailing_nuls_after_power_cut", path, size - kept
            )
    return size - kept


def remove_gaps(path: Path) -> int:
    """Remove the gaps between the commands of a file; return the number of bytes removed."""
    if not path.stat().st_size:
        return 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if not may_have_gaps(data):
            return 0
        try:
            gaps = find_gaps(data)
        except Damaged:
            return 0
    if not gaps:
        return 0
    _copy_without(path, gaps)
    removed = sum(end - start for start, end in gaps)
    log.warning(
        "event=append_only_gaps_removed file=%s gaps=%d bytes=%d reason=short_writes_on_full_disk",
        path,
        len(gaps),
        removed,
    )
    return removed


def _copy_without(path: Path, gaps: Sequence[tuple[int, int]]) -> None:
    """Replace a file by a copy without the gaps. If that is interrupted, the file is unchanged."""
    copy = path.with_name(path.name + REPAIRED_SUFFIX)
    try:
        with path.open("rb") as source, copy.open("wb") as target:
            start = 0
            for gap_start, gap_end in (*gaps, (path.stat().st_size, 0)):
                source.seek(start)
                _copy(source, target, gap_start - start)
                start = gap_end
            target.flush()
            os.fsync(target.fileno())
        shutil.copystat(path, copy)
        copy.replace(path)
    except OSError:
        if copy.is_file():
            copy.unlink()  # it would keep a full disk full
        raise
    _sync_directory(path.parent)


def _copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    while length and (data := source.read(min(length, COPY_BYTES))):
        target.write(data)
        length -= len(data)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
