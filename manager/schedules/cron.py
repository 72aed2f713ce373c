"""The instants of a cron expression. Pure.

`cronsim` evaluates them as Debian's cron does, which is right where clocks change: a fixed time that a change skips
runs right after it, and one that occurs twice runs once. Wildcards (`*`) follow the clock on the wall instead.
docs/schedules.md has examples of both.
"""

import math
import re
from collections.abc import Iterator
from datetime import datetime, tzinfo

from cronsim import CronSim, CronSimError
from cronsim.explain import explain

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MAX_CHARACTERS = 200
FIELDS = 5
"""Not six: with a field of seconds, `cronsim` has other rules where clocks change. `every` is for seconds."""

_ORDINAL = re.compile(r"\b([0-9]*)([123])th\b")
_ENDINGS = {"1": "st", "2": "nd", "3": "rd"}


def check_cron(expression: str, zone: tzinfo, now: float) -> None:
    """Check an expression. It can take a fifth of a second: for one that never occurs, it looks at 50 years.

    Raises:
        ValueError: it is none, or it has no instant within 50 years.
    """
    plain = _plain(expression)
    if len(plain) > MAX_CHARACTERS or len(plain.split()) != FIELDS:
        aliases = ", ".join(ALIASES)
        raise ValueError(f"must have five fields (minute hour day-of-month month day-of-week), or be one of {aliases}")
    check_syntax(expression)
    if next_after(expression, zone, now) is None:
        raise ValueError("never occurs within 50 years")


def check_syntax(expression: str) -> None:
    """Check that an expression can be read.

    Raises:
        ValueError: it cannot.
    """
    try:
        CronSim(_plain(expression), datetime(2000, 1, 1))
    except CronSimError as error:
        raise ValueError(f"is not valid: {_lower(str(error))}") from error


def next_after(expression: str, zone: tzinfo, after: float) -> float | None:
    """Return the first instant (Unix time) after another one; None if there is none within 50 years."""
    return next(instants_after(expression, zone, after), None)


def instants_after(expression: str, zone: tzinfo, after: float) -> Iterator[float]:
    """Yield the instants after another one, each later than the one before."""
    last = after
    try:
        start = datetime.fromtimestamp(math.floor(after), zone)
        for local in CronSim(_plain(expression), start):
            instant = local.timestamp()
            # Started within an hour that occurs twice, `cronsim` also returns its first occurrence, which is over.
            # Several times that one change of the clock skips all become the same instant.
            if instant > last:
                yield instant
                last = instant
    except (OverflowError, ValueError):
        return  # after the year 9999


def wall_times_after(expression: str, after: datetime) -> Iterator[datetime]:
    """Yield the times at which the clock on the wall matches, as if it were never changed; all without a time zone."""
    yield from CronSim(_plain(expression), after)


def is_hourly(expression: str) -> bool:
    """Return whether it runs in every hour, so that its instants follow the time that passes."""
    return _plain(expression).split()[1] == "*"


def in_words(expression: str) -> str:
    """Return what a valid expression says, such as `At 01:30 every day`."""
    # A day of the month and one of the week: either will do, but cronsim's words join them with "and".
    return _ORDINAL.sub(_fix_ordinal, explain(_plain(expression))).replace(" and on ", " or on ")


def _plain(expression: str) -> str:
    text = expression.strip()
    return ALIASES.get(text.lower(), text)


def _fix_ordinal(match: re.Match[str]) -> str:
    tens, ones = match.groups()
    return match[0] if tens == "1" else f"{tens}{ones}{_ENDINGS[ones]}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
