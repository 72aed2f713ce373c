"""Charts of the last minutes, as points of an SVG. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from manager.dashboard.sampler import Point

WIDTH, HEIGHT = 600, 120
SHOWN_SECONDS = 300.0
RATE_SECONDS = 10.0
"""A rate is the mean of so many seconds."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A line.

    Attributes:
        points: for `<polyline>`, within `WIDTH` and `HEIGHT`.
        now, most: the last value, and the largest that is shown.
    """

    points: str
    now: float
    most: float


def chart(history: Sequence[Point], value: Callable[[Point], float]) -> Chart:
    """Return a chart of a value of each point."""
    return _chart([(point.at, value(point)) for point in history])


def rate_chart(history: Sequence[Point], total: Callable[[Point], int]) -> Chart:
    """Return a chart of how quickly a total has grown, per second."""
    return _chart(_rates(history, total))


def x_of(at: float, end: float) -> float:
    """Return where a moment is on a time axis of `WIDTH` that ends at `end`; both are Unix times."""
    return WIDTH - (end - at) / SHOWN_SECONDS * WIDTH


def _rates(history: Sequence[Point], total: Callable[[Point], int]) -> list[tuple[float, float]]:
    rates = []
    start = 0
    for end, point in enumerate(history):
        while history[start].at < point.at - RATE_SECONDS:
            start += 1
        if end > start:
            earlier = history[start]
            # Less than before: the counters were deleted.
            rates.append((point.at, max(0, total(point) - total(earlier)) / max(point.at - earlier.at, 0.001)))
    return rates


def _chart(values: Sequence[tuple[float, float]]) -> Chart:
    if not values:
        return Chart("", 0.0, 0.0)
    end, last = values[-1]
    shown = [(at, value) for at, value in values if at >= end - SHOWN_SECONDS]
    most = max(value for _, value in shown)
    scale = (HEIGHT - 2) / most if most else 0.0
    points = (f"{x_of(at, end):.1f},{HEIGHT - 1 - value * scale:.1f}" for at, value in shown)
    return Chart(" ".join(points), last, most)
