"""Two pictures as SVG text: cost against waiting, and the fleet against demand over time."""

import math
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 480
LEFT, RIGHT, TOP, BOTTOM = 70, 30, 40, 60
OWN_COLOR, PEER_COLOR, DEMAND_COLOR, AXIS_COLOR = "#0b6e4f", "#b5482f", "#9aa5b1", "#333333"
LETTER_WIDTH = 7.6
STEPS = 800
"""Points of a line over time: about one a pixel."""


def draw_cost_wait_chart(
    own: Sequence[tuple[str, tuple[float, float]]], peers: Sequence[tuple[str, float, float]]
) -> str:
    """Cost ÷ C0 across, mean wait up, both logarithmic: lower left is better.

    Args:
        own: our policy's points by label, in the order of w: (cost, wait in seconds).
        peers: name, cost, wait in seconds.
    """
    costs = [cost for _, (cost, _) in own] + [cost for _, cost, _ in peers]
    waits = [wait for _, (_, wait) in own] + [wait for _, _, wait in peers]
    across = _logarithmic(costs, LEFT, WIDTH - RIGHT)
    up = _logarithmic([max(wait, 0.01) for wait in waits], HEIGHT - BOTTOM, TOP)
    points = [(across(cost), up(max(wait, 0.01))) for _, (cost, wait) in own]
    parts = [_axes("paid ÷ C0 (logarithmic)", "mean wait in seconds (logarithmic)")]
    parts += [_tick(across(value), HEIGHT - BOTTOM + 16, f"{value:g}") for value in _decades(costs)]
    parts += [_tick(LEFT - 22, up(value) + 4, f"{value:g}") for value in _decades([max(wait, 0.01) for wait in waits])]
    parts.append(_line(points, OWN_COLOR))
    dots = [(*point, OWN_COLOR, label) for (label, _), point in zip(own, points, strict=True)]
    dots += [(across(cost), up(max(wait, 0.01)), PEER_COLOR, name) for name, cost, wait in peers]
    parts += _labelled(dots)
    parts += _legend([("workmanager, by w", OWN_COLOR), ("its peers", PEER_COLOR)])
    return _document("Cost and waiting: lower left is better", parts)


def draw_fleet_chart(fleet: Sequence[tuple[float, int]], demand: Sequence[tuple[float, int]]) -> str:
    """Instances alive, and instances that would be busy if nothing ever waited, over the hours.

    Args:
        fleet, demand: (second, number) at each change, by time.
    """
    end = max([second for second, _ in (*fleet[-1:], *demand[-1:])], default=1.0) or 1.0
    lines = [_averages(changes, end) for changes in (demand, fleet)]
    most = max([*lines[0], *lines[1], 1.0])

    def place(index: int, value: float) -> tuple[float, float]:
        return (
            LEFT + (index + 0.5) / STEPS * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM),
        )

    parts = [_axes("hours", "instances")]
    parts += [
        _tick(LEFT + hours * 3600 / end * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM + 16, f"{hours:g}")
        for hours in _round_marks(end / 3600)
    ]
    parts += [_tick(LEFT - 22, place(0, number)[1] + 4, f"{number:g}") for number in _round_marks(most)]
    for values, color in zip(lines, (DEMAND_COLOR, OWN_COLOR), strict=True):
        parts.append(_line([place(index, value) for index, value in enumerate(values)], color))
    parts += _legend([("instances paid for", OWN_COLOR), ("instances busy if nothing ever waited", DEMAND_COLOR)])
    return _document("The fleet and the demand for it", parts)


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


def _logarithmic(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    low, high = math.log(min(values)) - 0.6, math.log(max(values)) + 0.3
    return lambda value: start + (math.log(value) - low) / (high - low) * (end - start)


def _round_marks(most: float) -> list[float]:
    """Four to nine multiples of 1, 2 or 5 times a power of ten, from 0."""
    power = 10.0 ** math.floor(math.log10(most / 4))
    step = next(factor * power for factor in (5, 2, 1) if most / (factor * power) >= 3.99)
    return [step * number for number in range(int(most / step) + 1)]


def _decades(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 times the powers of ten within the values."""
    powers = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    marks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    inside = [mark for mark in marks if min(values) * 0.9 <= mark <= max(values) * 1.1]
    return inside if len(inside) <= 8 else [mark for mark in inside if math.log10(mark) % 1 == 0]


def _axes(across: str, up: str) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    return (
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="{AXIS_COLOR}"/>'
        f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 16}" text-anchor="middle">{escape(across)}</text>'
        f'<text transform="translate(18 {(TOP + bottom) / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(up)}</text>'
    )


def _tick(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-size="11">{escape(text)}</text>'


def _line(points: Sequence[tuple[float, float]], color: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>'


def _labelled(dots: Sequence[tuple[float, float, str, str]]) -> list[str]:
    """Dots with their labels, each where it covers no dot and no other label: beside, above or below, near or farther.

    Args:
        dots: x, y, color, label.
    """
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y, _, _ in dots]
    parts = []
    for x, y, color, label in dots:
        width = LETTER_WIDTH * len(label)
        # Ours first beneath, away from the peers'.
        sides = ((-1, 1), (0, 1), (1, 0), (1, -1), (0, -1), (-1, 0), (-1, -1), (1, 1))
        if color != OWN_COLOR:
            sides = sides[2:] + sides[:2]
        corners = [
            (x - width / 2 + across * (width / 2 + far), y - 6 + down * (far + 4))
            for far in (8, 16, 26, 38)
            for across, down in sides
        ]
        boxes = [(left, top, left + width, top + 12) for left, top in corners]
        inside = [box for box in boxes if box[0] > LEFT and box[2] < WIDTH - 4 and TOP < box[1] < HEIGHT - BOTTOM - 12]
        box = next((box for box in inside if not any(_overlap(box, other) for other in taken)), boxes[0])
        taken.append(box)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}"/>'
            f'<text x="{box[0]:.1f}" y="{box[1] + 10:.1f}" font-size="12" fill="{color}">{escape(label)}</text>'
        )
    return parts


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _legend(entries: Sequence[tuple[str, str]]) -> list[str]:
    """Names in their colors, at the upper right."""
    return [
        f'<rect x="{WIDTH - 290}" y="{TOP + 4 + 20 * index}" width="14" height="10" fill="{color}"/>'
        f'<text x="{WIDTH - 270}" y="{TOP + 13 + 20 * index}">{escape(name)}</text>'
        for index, (name, color) in enumerate(entries)
    ]


def _document(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13">'
        f'<title>{escape(title)}</title><rect width="100%" height="100%" fill="white"/>'
        f'<text x="{WIDTH / 2:.0f}" y="24" text-anchor="middle" font-size="15">{escape(title)}</text>'
        f"{''.join(parts)}</svg>\n"
    )
