"""The last minutes of the scaler on one time axis: jobs, instances, cost, and when it decided something. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from manager.dashboard.charts import SHOWN_SECONDS, x_of
from manager.dashboard.sampler import Point

LANE_HEIGHT = 100
_MARGIN = 6
"""Of a lane above its largest value."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a lane; `now` is its last value, and `points` are for `<polyline>`."""

    name: str
    kind: str
    now: float
    points: str


@dataclass(frozen=True, slots=True)
class Lane:
    """Lines of one scale, one lane below another.

    Attributes:
        most: the largest value of all its lines, which is its upper end.
        bottom: where zero is, from the top.
    """

    name: str
    lines: Sequence[Line]
    most: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Mark:
    """When the scaler launched or drained workers."""

    x: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of it, within `WIDTH` and `height`."""

    lanes: Sequence[Lane]
    marks: Sequence[Mark]
    height: int


def draw_timeline(
    history: Sequence[Point], decisions: Sequence[Mapping[str, Any]], price_per_hour: float
) -> Timeline | None:
    """Return the drawing; None if nothing has been read yet.

    Args:
        history: the oldest first.
        decisions: of the scaler, as it stores them.
        price_per_hour: of an instance; without it, there is no lane of costs.
    """
    if not history:
        return None
    end = history[-1].at
    shown = [point for point in history if point.at >= end - SHOWN_SECONDS]
    kinds: list[tuple[str, list[tuple[str, str, Callable[[Point], float]]]]] = [
        ("Jobs", [("waiting", "depth", lambda each: each.waiting), ("demand", "demand", lambda each: each.demand)]),
        (
            "Instances",
            [
                ("booting", "booting", lambda each: each.booting),
                ("idle", "idle", lambda each: each.idle),
                ("busy", "busy", lambda each: each.busy),
            ],
        ),
    ]
    if price_per_hour:
        kinds.append(("Cost per hour", [("cost", "cost", lambda each: each.instances * price_per_hour)]))
    lanes = [_lane(name, lines, shown, end, index) for index, (name, lines) in enumerate(kinds)]
    marks = [mark for each in decisions if (mark := _mark(each, end)) is not None]
    return Timeline(lanes, marks, LANE_HEIGHT * len(lanes))


def _lane(
    name: str,
    kinds: Sequence[tuple[str, str, Callable[[Point], float]]],
    shown: Sequence[Point],
    end: float,
    index: int,
) -> Lane:
    most = max(value(point) for _, _, value in kinds for point in shown)
    bottom = (index + 1) * LANE_HEIGHT - 1
    scale = (LANE_HEIGHT - _MARGIN) / most if most else 0.0
    lines = [
        Line(
            *(label, kind, value(shown[-1])),
            points=" ".join(f"{x_of(point.at, end):.1f},{bottom - value(point) * scale:.1f}" for point in shown),
        )
        for label, kind, value in kinds
    ]
    return Lane(name, lines, most, bottom)


def _mark(decision: Mapping[str, Any], end: float) -> Mark | None:
    """Return the mark of a decision; None if it is not shown. The record may be spoiled."""
    at, launch, drain = (decision.get(name) for name in ("at", "launch", "drain"))
    if not all(isinstance(each, int | float) for each in (at, launch, drain)):
        return None
    assert at is not None
    if not (launch or drain) or not end - SHOWN_SECONDS <= at <= end:
        return None
    done = [f"{number:,} {verb}" for number, verb in ((launch, "launched"), (drain, "drained")) if number]
    return Mark(round(x_of(at, end), 1), "launch" if launch else "drain", " and ".join(done))
