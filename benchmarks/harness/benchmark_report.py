"""Reports benchmark figures: JSON lines on stdout, tables on stderr."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness import machine

Figures = Mapping[str, float]

OTHER_CORES_FIELD = "others_cores"
"""JSON field: the number of cores that other programs kept busy."""


@dataclass(frozen=True, slots=True)
class Aim:
    """A target for one figure.

    Attributes:
        description: the figure in words.
        measured: the figure, or the ratio of two figures.
        least, most: the limit; exactly one of them is set.
    """

    description: str
    measured: float
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return (self.least is None or self.measured >= self.least) and (self.most is None or self.measured <= self.most)


@dataclass(slots=True)
class BenchmarkReport:
    """Prints the figures of one benchmark as they are measured."""

    benchmark: str
    quick: bool
    _rows: list[tuple[str, Figures]] = field(default_factory=list)
    _aims: list[Aim] = field(default_factory=list)

    def print_machine(self) -> None:
        """Print the machine that the figures are measured on."""
        self._line({"machine": machine.describe_machine()})

    def add_run(self, contestant: str, number: int, figures: Figures, others_cores: float) -> None:
        """Print one run. `others_cores` is the number of cores that other programs kept busy during it."""
        self._line(
            {"contestant": contestant, "run": number, **_rounded(figures), OTHER_CORES_FIELD: round(others_cores, 2)}
        )
        sys.stderr.write(f"  {contestant}, run {number}: {_in_words(figures)}\n")

    def add_median(self, contestant: str, runs: int, figures: Figures, others_cores: float) -> None:
        """Print a contestant's medians."""
        self._line(
            {
                "contestant": contestant,
                "median_of": runs,
                **_rounded(figures),
                OTHER_CORES_FIELD: round(others_cores, 2),
            }
        )
        self._rows.append((contestant, {**figures, OTHER_CORES_FIELD: others_cores}))

    def add_curve(self, name: str, unit_x: str, unit_y: str, points: Sequence[tuple[float, float]]) -> None:
        """Print a curve for a chart."""
        rounded = [[_significant(x), _significant(y)] for x, y in points]
        self._line({"curve": name, "x": unit_x, "y": unit_y, "points": rounded})

    def add_aim(self, what: str, measured: float, *, least: float | None = None, most: float | None = None) -> None:
        """Print a target and whether it was reached."""
        aim = Aim(what, measured, least, most)
        limit = {"least": least} if least is not None else {"most": most}
        self._line({"aim": what, "measured": _significant(measured), **limit, "met": aim.met})
        self._aims.append(aim)

    def print_tables(self) -> None:
        """Print the tables."""
        sys.stderr.write(text_table(self.benchmark, self._rows, self._aims))

    def _line(self, content: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps({"benchmark": self.benchmark, "quick": self.quick, **content}) + "\n")
        sys.stdout.flush()


def text_table(title: str, rows: Sequence[tuple[str, Figures]], aims: Sequence[Aim]) -> str:
    """Return the figures as text, one line per contestant, followed by the aims."""
    columns = list(dict.fromkeys(name for _, figures in rows for name in figures if name != OTHER_CORES_FIELD))
    columns += [OTHER_CORES_FIELD] if rows else []
    lines = [[title, *columns]]
    lines += [[name, *(_text(figures.get(column)) for column in columns)] for name, figures in rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns) + 1)]
    text = "\n"
    for line in lines:
        text += line[0].ljust(widths[0])
        text += "".join("  " + cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)) + "\n"
    for aim in aims:
        text += f"{'met     ' if aim.met else 'NOT MET '} {aim.description}: {_text(aim.measured)}\n"
    return text


def _rounded(figures: Figures) -> dict[str, float]:
    return {name: _significant(value) for name, value in figures.items()}


def _significant(value: float) -> float:
    return float(f"{value:.4g}") if abs(value) < 10_000 else round(value)


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _in_words(figures: Figures) -> str:
    return ", ".join(f"{name} {_text(value)}" for name, value in figures.items())
