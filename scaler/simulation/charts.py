"""The simulator's two charts: cost against waiting for every policy, and the fleet against demand over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scaler.simulation.svg import draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

WIDTH, HEIGHT = 640, 380
OUR_COLOR, PEER_COLOR, DEMAND_COLOR = "#0b6e4f", "#b5482f", "#9aa5b1"
LEAST_WAIT_SECONDS = 0.01
"""Shorter mean waits are drawn here: a logarithmic axis has no 0."""
LABEL_DISTANCE, LABEL_STEP = 5, 3
"""Points from a dot to its label, and from one tried place of a label to the next."""
MAX_LABEL_STEPS = 30
STEPS = 800
"""Points of a line over time: about one a pixel."""

Point = tuple[str, float, float]
"""Label, cost ÷ C0, mean wait in seconds."""


def draw_cost_wait_chart(ours: Sequence[Point], peers: Sequence[Point]) -> str:
    """Return the chart of cost ÷ C0 and mean wait, both logarithmic: lower left is better.

    Args:
        ours: our policy's points in the order of w.
    """

    def draw(axes: Axes) -> None:
        axes.set(xscale="log", yscale="log", xlabel="paid ÷ C0", ylabel="mean wait in seconds")
        axes.set_title("Cost and waiting: lower left is better")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
        labels = _plot_points(axes, ours, "o-", OUR_COLOR, "workmanager, by w", direction=-1)
        peer_labels = _plot_points(axes, peers, "o", PEER_COLOR, "its peers", direction=1)
        axes.legend(loc="upper right")
        axes.margins(0.1)
        _spread(axes, labels, -LABEL_STEP)
        _spread(axes, peer_labels, LABEL_STEP)

    return draw_svg(draw, width=WIDTH, height=HEIGHT)


def draw_fleet_chart(fleet: Sequence[tuple[float, int]], demand: Sequence[tuple[float, int]]) -> str:
    """Return the chart of instances alive, and of instances that would be busy if no job ever waited, over the hours.

    Args:
        fleet, demand: (second, number) at each change, by time.
    """
    end = max([second for second, _ in (*fleet[-1:], *demand[-1:])], default=1.0) or 1.0
    hours = [(index + 0.5) / STEPS * end / 3600 for index in range(STEPS)]

    def draw(axes: Axes) -> None:
        axes.set(xlabel="hours", ylabel="instances", title="The fleet and the demand for it")
        axes.plot(hours, _averages(demand, end), color=DEMAND_COLOR, label="instances busy if no job ever waited")
        axes.plot(hours, _averages(fleet, end), color=OUR_COLOR, label="instances paid for")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper right")

    return draw_svg(draw, width=WIDTH, height=HEIGHT)


def _plot_points(
    axes: Axes, points: Sequence[Point], style: str, color: str, name: str, *, direction: int
) -> list[Annotation]:
    """Plot points; return their labels, at the upper right for direction 1 and at the lower left for -1."""
    places = [(cost, max(wait, LEAST_WAIT_SECONDS)) for _, cost, wait in points]
    axes.plot(*zip(*places, strict=True), style, color=color, label=name)
    return [
        axes.annotate(
            label,
            place,
            (direction * LABEL_DISTANCE, direction * LABEL_DISTANCE),
            textcoords="offset points",
            color=color,
            horizontalalignment="left" if direction > 0 else "right",
            verticalalignment="bottom" if direction > 0 else "top",
        )
        for (label, _, _), place in zip(points, places, strict=True)
    ]


def _spread(axes: Axes, labels: Sequence[Annotation], step: float) -> None:
    """Move labels up, or down for a negative step, until none covers another."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # places the labels
    for index, label in enumerate(labels):
        boxes = [other.get_window_extent() for other in labels[:index]]
        for _ in range(MAX_LABEL_STEPS):
            if not any(label.get_window_extent().overlaps(box) for box in boxes):
                break
            x, y = label.xyann
            label.xyann = (x, y + step)


def _averages(changes: Sequence[tuple[float, int]], end: float) -> list[float]:
    """The mean number in each of `STEPS` equal parts of the time."""
    width = end / STEPS
    sums = [0.0] * STEPS
    for (begin, number), (until, _) in zip(changes, [*changes[1:], (end, 0)], strict=True):
        first, last = int(begin / width), min(STEPS - 1, int(until / width))
        for index in range(first, last + 1):
            sums[min(index, STEPS - 1)] += number * max(
                0.0, min(until, (index + 1) * width) - max(begin, index * width)
            )
    return [total / width for total in sums]
