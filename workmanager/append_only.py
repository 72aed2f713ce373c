"""What a power cut leaves at the end of an append-only file is taken off before the server loads it.

Some file systems, ext4 with its defaults among them, write down a file's new length before what was written into the
file's last block. After a power cut NULs stand in its place. Redis and Valkey load a file that ends in the midst of a
command, but refuse one that ends in NULs (https://github.com/valkey-io/valkey/issues/1148), or take them for data where
a command that had begun is long enough. No command ends in a NUL, so what ends in some has an unfinished end, which
was never synced: a second of writes, or two (`appendfsync everysec`).

The servers' own check tool is not used for it: it asks first, reads all of the file, and cuts at any damage.

`python -m workmanager.append_only DIRECTORY` does it, for whoever starts a server over that directory.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)

_CHUNK_BYTES = 65_536
_MANIFEST = "appendonlydir/appendonly.aof.manifest"
_INCREMENT = re.compile(r"^file (\S+) seq (\d+) type i", re.MULTILINE)
_SINGLE_FILE = "appendonly.aof"  # before Redis 7


def truncate_trailing_nuls(directory: Path) -> int:
    """Cuts the NULs off the end of the append-only file that a server in `directory` writes to.

    Returns:
        how many bytes were cut; 0 where there is no such file, which is then left as it is.

    Raises:
        OSError: the file cannot be read or changed.
    """
    path = _written_file(directory)
    if path is None or not path.exists():
        return 0
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        kept = size
        while kept:
            begin = max(0, kept - _CHUNK_BYTES)
            file.seek(begin)
            written = file.read(kept - begin).rstrip(b"\0")
            kept = begin + len(written)
            if written:
                break
        if kept < size:
            file.truncate(kept)
            os.fsync(file.fileno())
            log.warning(
                "event=append_only_truncated file=%s bytes=%d reason=trailing_nuls_after_power_cut", path, size - kept
            )
    return size - kept


def _written_file(directory: Path) -> Path | None:
    """The last one of those that the manifest names; None where it names none."""
    manifest = directory / _MANIFEST
    if not manifest.exists():
        return directory / _SINGLE_FILE
    increments = {int(number): name for name, number in _INCREMENT.findall(manifest.read_text())}
    return manifest.parent / increments[max(increments)] if increments else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Cuts, and tells what was cut; the exit code."""
    parser = argparse.ArgumentParser(
        prog="append_only", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args(arguments).directory
    logging.basicConfig(format="%(message)s")
    try:
        truncate_trailing_nuls(directory)
    except OSError as error:
        sys.stderr.write(f"append_only: cannot look for an unfinished end: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
