"""Draws figures as SVG: bars, and curves with axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 40, 50
_COLOURS = ("#1f6feb", "#d1661a", "#2c974b", "#8250df", "#bf3989", "#57606a")
_BAR_HEIGHT = 28


@dataclass(frozen=True, slots=True)
class Axis:
    """What a curve's axis shows."""

    label: str
    logarithmic: bool = False


def bars(title: str, unit: str, values: Mapping[str, float]) -> str:
    """One bar for each value, the longest first, with the value beside it."""
    ordered = sorted(values.items(), key=lambda pair: -pair[1])
    longest = max(values.values())
    height = _TOP + _BAR_HEIGHT * len(ordered) + 10
    parts = [_text(10, 24, title, bold=True)]
    for place, (name, value) in enumerate(ordered):
        y = _TOP + place * _BAR_HEIGHT
        length = max(1.0, value / longest * (_WIDTH - 330))
        parts.append(_text(170, y + 17, name, anchor="end"))
        parts.append(
            f'<rect x="180" y="{y + 3}" width="{length:.1f}" height="{_BAR_HEIGHT - 8}" fill="{_COLOURS[0]}"/>'
        )
        parts.append(_text(188 + length, y + 17, f"{value:,.0f} {unit}"))
    return _svg(height, parts)


def curves(title: str, x: Axis, y: Axis, lines: Mapping[str, Points]) -> str:
    """One line for each entry, with a legend where there are several."""
    x_of, x_ticks = _scale(x, [point[0] for points in lines.values() for point in points], _LEFT, _WIDTH - _RIGHT)
    y_of, y_ticks = _scale(y, [point[1] for points in lines.values() for point in points], _HEIGHT - _BOTTOM, _TOP)
    parts = [_text(10, 24, title, bold=True)]
    for tick in x_ticks:
        parts.append(_rule(x_of(tick), _TOP, x_of(tick), _HEIGHT - _BOTTOM))
        parts.append(_text(x_of(tick), _HEIGHT - _BOTTOM + 18, _number(tick), anchor="middle"))
    for tick in y_ticks:
        parts.append(_rule(_LEFT, y_of(tick), _WIDTH - _RIGHT, y_of(tick)))
        parts.append(_text(_LEFT - 8, y_of(tick) + 4, _number(tick), anchor="end"))
    parts.append(_text((_LEFT + _WIDTH) / 2, _HEIGHT - 12, x.label, anchor="middle"))
    parts.append(_text(_LEFT, _TOP - 6, y.label, anchor="end"))
    for place, (name, points) in enumerate(lines.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        path = " ".join(f"{x_of(px):.1f},{y_of(py):.1f}" for px, py in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(lines) > 1:
            parts.append(_text(_WIDTH - _RIGHT - 6, _TOP + 18 + 18 * place, name, anchor="end", colour=colour))
    return _svg(_HEIGHT, parts)


def _scale(
    axis: Axis, values: Sequence[float], start: float, end: float
) -> tuple[Callable[[float], float], Sequence[float]]:
    """Where a value lies between the pixels `start` and `end`, and the values to mark."""
    if axis.logarithmic:
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        high = max(high, low + 1)
        ticks: list[float] = [10.0**power for power in range(low, high + 1)]
        return lambda value: start + (math.log10(value) - low) / (high - low) * (end - start), ticks
    step = _round_step(max(values) / 5)
    count = math.ceil(max(values) / step)
    ticks = [number * step for number in range(count + 1)]
    return lambda value: start + value / ticks[-1] * (end - start), ticks


def _round_step(step: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor >= step)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#d0d7de"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False, colour: str = "#1f2328") -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>{escape(text)}</text>'


def _svg(height: int, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    style = 'font-family="sans-serif" font-size="12"'
    background = f'<rect width="{_WIDTH}" height="{height}" fill="white"/>'
    return "\n".join([f"{head} {style}>", background, *parts, "</svg>", ""])
