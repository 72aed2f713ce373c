"""A line of progress at the bottom of a terminal: how far, how fast, how long still."""

import os
import sys
import time
from types import TracebackType
from typing import Self

from workmanager.commands.terminal import is_terminal

REDRAW_SECONDS = 0.2
"""A person cannot read faster."""
BAR_CHARACTERS = 24
CLEAR_LINE = "\r\x1b[K"


class ProgressLine:
    """Draws progress on standard error, if that is a terminal. Nothing remains of it afterwards."""

    def __init__(self, total: int | None, noun: str) -> None:
        """Draw nothing yet.

        Args:
            total: how many there are; None if that is not known.
            noun: of what, in the plural.
        """
        self._total, self._noun = total, noun
        self._is_shown = is_terminal(sys.stderr) and total != 1
        self._started_at = self._drawn_at = time.monotonic()
        self._is_drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def update(self, done: int) -> None:
        """Draw how many are done, but not more often than a person can read."""
        now = time.monotonic()
        if self._is_shown and now - self._drawn_at >= REDRAW_SECONDS:
            self._drawn_at, self._is_drawn = now, True
            text = progress_text(done, self._total, self._noun, now - self._started_at)
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            print(CLEAR_LINE + text[: width - 1], end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the line, so that something else can be printed."""
        if self._is_drawn:
            self._is_drawn = False
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)


def progress_text(done: int, total: int | None, noun: str, seconds: float) -> str:
    """Return how many are done in so many seconds, how fast and, if the total is known, how long it still takes."""
    rate = done / seconds if seconds > 0 else 0.0
    speed = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
    if not total:
        return f"{done:,} {noun}  {speed}"
    filled = BAR_CHARACTERS * done // total
    bar = "█" * filled + "░" * (BAR_CHARACTERS - filled)
    left = f"  {_duration((total - done) / rate)} left" if rate and done < total else ""
    return f"{bar} {100 * done // total:3d} %  {done:,} of {total:,} {noun}  {speed}{left}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
