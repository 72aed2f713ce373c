"""Which files a server's append-only file consists of."""

import re
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = "appendonlydir"
MANIFEST = "appendonly.aof.manifest"
SINGLE_FILE = "appendonly.aof"
"""Redis before version 7 has one file and no manifest."""

_LINE = re.compile(r"file (?P<name>\S+) seq (?P<number>\d+) type (?P<type>[bih])(?: \S+ \S+)*")


@dataclass(frozen=True, slots=True)
class AppendOnlyFiles:
    """The files in the order in which a server reads them.

    Attributes:
        base: the data at the last rewrite; None if there is none.
        increments: the commands since then; the server writes to the last file.
    """

    base: Path | None
    increments: tuple[Path, ...]


def find_files(directory: Path) -> AppendOnlyFiles:
    """Return the files of the server whose data are in `directory`. Not all of them need to exist.

    Raises:
        ValueError: the manifest, which lists them, cannot be read.
        OSError: the same, for a reason of the file system.
    """
    manifest = directory / DIRECTORY / MANIFEST
    if not manifest.exists():
        single = directory / SINGLE_FILE
        return AppendOnlyFiles(None, (single,) if single.exists() else ())
    base, increments = None, {}
    for line in manifest.read_text().splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            if line.strip() and not line.startswith("#"):
                raise ValueError(f"{manifest}: {line!r} is not the name of a file")
        elif match["type"] == "b":
            base = manifest.parent / match["name"]
        elif match["type"] == "i":
            increments[int(match["number"])] = manifest.parent / match["name"]
    return AppendOnlyFiles(base, tuple(increments[number] for number in sorted(increments)))
