"""When cron runs, found by a look at the clock on the wall at every minute: it shares no code with ours."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

MINUTE, DAY = 60, 86400


@dataclass(frozen=True)
class Expression:
    """An expression for every day, in two forms.

    Attributes:
        minutes, hours: at which it runs.
        follows_the_wall: it is written with `*`: it runs whenever the clock shows such a time. Otherwise it runs once
            for each such time of a day; if the clock skips that, right after.
    """

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    follows_the_wall: bool

    def instants(self, zone: str, first: float, last: float) -> list[float]:
        """Return the instants from `first` to `last`, both included."""
        walls = _walls(zone, int(first) - 2 * DAY, int(last) + 2 * DAY)
        found = self._on_the_wall(walls) if self.follows_the_wall else self._once_a_day(walls)
        return sorted(each for each in found if first <= each <= last)

    def _on_the_wall(self, walls: list[tuple[int, datetime]]) -> set[float]:
        return {float(each) for each, wall in walls if wall.hour in self.hours and wall.minute in self.minutes}

    def _once_a_day(self, walls: list[tuple[int, datetime]]) -> set[float]:
        shown: dict[datetime, int] = {}
        for each, wall in walls:
            shown.setdefault(wall, each)
        found = set()
        for day in {wall.date() for _, wall in walls[::60]}:
            for hour in self.hours:
                for minute in self.minutes:
                    wall = datetime(day.year, day.month, day.day, hour, minute)
                    while wall not in shown and wall < walls[-1][1]:
                        wall += timedelta(minutes=1)
                    if wall in shown:
                        found.add(float(shown[wall]))
        return found


@cache
def _walls(zone: str, first: int, last: int) -> list[tuple[int, datetime]]:
    """Return each minute with what the clock on the wall shows then."""
    rules = ZoneInfo(zone)
    minutes = range(first // MINUTE * MINUTE, last, MINUTE)
    return [(each, datetime.fromtimestamp(each, rules).replace(tzinfo=None)) for each in minutes]


EXPRESSIONS = (
    Expression("30 2 * * *", (30,), (2,), follows_the_wall=False),
    Expression("15,45 1,3 * * *", (15, 45), (1, 3), follows_the_wall=False),
    Expression("*/20 1,2 * * *", (0, 20, 40), (1, 2), follows_the_wall=True),
    Expression("10 * * * *", (10,), tuple(range(24)), follows_the_wall=True),
)
ZONES = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe")
