"""Repair a Redis append-only file after a power cut: remove the NUL bytes at its end.

Some file systems, ext4 with its defaults among them, save a file's new length before the data of its last block. After
a power cut that data reads as NULs. Redis and Valkey load a file that ends within a command. They refuse one that ends
in NULs (https://github.com/valkey-io/valkey/issues/1148), or take the NULs for the rest of a command. No command ends
in a NUL. So NULs at the end are part of an unfinished write that was never synced: the last second or two
(`appendfsync everysec`).

The servers' own check tool is not used: it asks for confirmation, reads the whole file, and truncates it at any damage.

`python -m workmanager.append_only DIRECTORY` does it before a server is started in that directory.
"""

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)

CHUNK_BYTES = 65_536
MANIFEST = "appendonlydir/appendonly.aof.manifest"
INCREMENT = re.compile(r"^file (\S+) seq (\d+) type i", re.MULTILINE)
SINGLE_FILE = "appendonly.aof"
"""Redis before version 7 has one file and no manifest."""


def truncate_trailing_nuls(directory: Path) -> int:
    """Remove the NULs at the end of the append-only file that the server in `directory` writes to.

    Returns:
        the number of bytes removed; 0 if there is no such file.

    Raises:
        OSError: the file cannot be read or changed.
    """
    path = _current_file(directory)
    if path is None or not path.exists():
        return 0
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


def _current_file(directory: Path) -> Path | None:
    """Return the newest file in the manifest; None if the manifest lists none."""
    manifest = directory / MANIFEST
    if not manifest.exists():
        return directory / SINGLE_FILE
    increments = {int(number): name for name, number in INCREMENT.findall(manifest.read_text())}
    return manifest.parent / increments[max(increments)] if increments else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Truncate the file and log how much was removed; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="append_only", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args(arguments).directory
    logging.basicConfig(format="%(message)s")
    try:
        truncate_trailing_nuls(directory)
    except OSError as error:
        sys.stderr.write(f"append_only: cannot check the append-only file in {directory}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
