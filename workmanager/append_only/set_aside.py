"""Set append-only files aside that cannot be read, so that the server starts empty."""

import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path

from workmanager.append_only.files import DIRECTORY, SINGLE_FILE

log = logging.getLogger(__name__)

KEPT = 2
"""How many sets of files are kept in a directory: the oldest are deleted."""
_MARK = ".unreadable-"


def set_aside(directory: Path, now: datetime | None = None) -> Path:
    """Move the append-only files of the server in `directory` away, and return where to.

    Only for a server whose data another one has.

    Raises:
        OSError: they cannot be moved.
    """
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    name = DIRECTORY if (directory / DIRECTORY).exists() else SINGLE_FILE
    target = directory / f"{name}{_MARK}{moment}"
    for old in sorted(directory.glob(f"{name}{_MARK}*"))[: -(KEPT - 1) or None]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    (directory / name).rename(target)
    log.error("event=append_only_set_aside directory=%s moved_to=%s", directory, target)
    return target
