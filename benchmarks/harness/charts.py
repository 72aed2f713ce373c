"""Charts of benchmark figures as SVG: bars, and lines with axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaler.simulation.svg import draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 480, 280
_BAR_HEIGHT = 22
_NUMBER = "{x:,.7g}"
_BAR_COLOR = "#1f6feb"
_VALUE_MARGIN = 0.3  # of the longest bar: room for its value


@dataclass(frozen=True, slots=True)
class Axis:
    """The label and scale of one axis."""

    label: str
    logarithmic: bool = False


def draw_bars(title: str, unit: str, values: Mapping[str, float]) -> str:
    """Return a chart with one horizontal bar per value, the longest first, with the value beside it."""
    names = sorted(values, key=values.__getitem__)
    lengths = [values[name] for name in names]

    def draw(axes: Axes) -> None:
        axes.set_title(title)
        bars = axes.barh(range(len(names)), lengths, color=_BAR_COLOR)
        axes.set_yticks(range(len(names)), [_literal(name) for name in names])
        axes.bar_label(bars, [f"{length:,.0f} {unit}" for length in lengths], padding=4)
        axes.set_xlim(0, max(lengths) * (1 + _VALUE_MARGIN))
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)

    return draw_svg(draw, width=_WIDTH, height=_BAR_HEIGHT * (len(names) + 2))


def draw_lines(title: str, x: Axis, y: Axis, lines: Mapping[str, Points]) -> str:
    """Return a chart with one line per entry, with a legend if there are several."""

    def draw(axes: Axes) -> None:
        axes.set(title=title, xlabel=x.label, ylabel=y.label)
        for scale, set_scale in ((x, axes.set_xscale), (y, axes.set_yscale)):
            set_scale("log" if scale.logarithmic else "linear")
        for name, points in lines.items():
            axes.plot(*zip(*points, strict=True), label=_literal(name))
        axes.grid(color="#d0d7de")
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            axis.set_major_formatter(_NUMBER)
            axis.set_minor_formatter(_NUMBER if high < 10 * low else "")
        if not y.logarithmic:
            axes.set_ylim(bottom=0)
        if len(lines) > 1:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    return draw_svg(draw, width=_WIDTH, height=_HEIGHT)


def _literal(text: str) -> str:
    """Text in which matplotlib reads no formula."""
    return text.replace("$", r"\$")
