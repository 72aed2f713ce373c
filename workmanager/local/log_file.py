"""Keeps a person's terminal calm: the log of all programs goes into a file, and warnings to the terminal as well."""

import contextlib
import json
import os
import re
import shutil
import sys
import threading
from pathlib import Path
from typing import IO

MAX_BYTES = 64 * 1024 * 1024
"""Size at which the file is set aside, as `workmanager.log.1`."""
_POLL_SECONDS = 0.2
_TEXT_LINE = re.compile(r"\d{4}-\d\d-\d\dT\S+Z ([A-Z]+) ")
_QUIET_LEVELS = {"DEBUG", "INFO"}


class LogFile:
    """Turns standard error of this process, and of those that it starts, into a file until it is closed.

    Args:
        path: the file. Lines are added to it.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._end = threading.Event()
        self._is_starting = self._shows = True
        sys.stderr.flush()
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._lines = path.open(encoding="utf-8", errors="replace")
        self._lines.seek(0, os.SEEK_END)
        self._terminal_fd = os.dup(2)
        os.dup2(file, 2)
        os.close(file)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        """Write a line for the person to the terminal. Nothing happens if it is gone."""
        with contextlib.suppress(OSError):
            os.write(self._terminal_fd, f"{text}\n".encode(errors="backslashreplace"))

    def started(self, text: str) -> None:
        """Say that all programs run. Until then, lines that are not of the log tell why one has not started."""
        self._is_starting = False
        self.say(text)

    def close(self) -> None:
        """Show what is left to be shown, and let standard error be the terminal again."""
        sys.stderr.flush()
        self._end.set()
        self._thread.join()
        os.dup2(self._terminal_fd, 2)
        os.close(self._terminal_fd)
        self._lines.close()

    def _follow(self) -> None:
        while True:
            ends = self._end.is_set()
            self._show_new_lines(self._lines)
            if ends:
                return
            if self._lines.tell() > MAX_BYTES:
                self._set_aside()
            self._end.wait(_POLL_SECONDS)

    def _show_new_lines(self, lines: IO[str]) -> None:
        while line := lines.readline():
            level = level_of(line)
            # What is no line of the log belongs to the line before, such as a traceback.
            self._shows = self._shows if level is None else level not in _QUIET_LEVELS
            if self._shows or (self._is_starting and level is None):
                self.say(line.rstrip("\n"))

    def _set_aside(self) -> None:
        """Start the file anew. Programs go on writing to its end, so it keeps its place; a few lines can be lost."""
        shutil.copyfile(self.path, self.path.with_name(f"{self.path.name}.1"))
        os.truncate(self.path, 0)
        self._lines.seek(0)


def level_of(line: str) -> str | None:
    """Return the level of a line of the log, in either format; None if it is none."""
    if found := _TEXT_LINE.match(line):
        return found[1]
    if not line.startswith("{"):
        return None
    try:
        return str(json.loads(line)["level"]).upper()
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
