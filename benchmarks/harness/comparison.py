"""Contestants measured in turn, several times, so that what the machine does besides strikes all alike."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.machine import CpuSnapshot


@dataclass(frozen=True, slots=True)
class BenchmarkOptions:
    """What a benchmark is told.

    Attributes:
        quick: the whole in less than two minutes, for a look; the figures vary more.
        runs: of every contestant.
    """

    quick: bool
    runs: int

    def pick(self, quick: int, full: int) -> int:
        """The size for this run."""
        return quick if self.quick else full


def parse_options(module: str, about: str, *, quick_runs: int = 2, full_runs: int = 5) -> BenchmarkOptions:
    """Reads the command line of a benchmark."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=about)
    parser.add_argument("--quick", action="store_true", help="in less than two minutes")
    parser.add_argument("--runs", type=int, help="of every contestant; the figures are their medians")
    given = parser.parse_args()
    return BenchmarkOptions(given.quick, given.runs or (quick_runs if given.quick else full_runs))


def compare(
    report: BenchmarkReport, contestants: Mapping[str, Callable[[], Figures]], runs: int
) -> dict[str, dict[str, float]]:
    """Measures every contestant `runs` times, in turn, each time another one first.

    Returns:
        each contestant's medians.
    """
    names = list(contestants)
    measured: dict[str, list[Figures]] = {name: [] for name in names}
    others: dict[str, list[float]] = {name: [] for name in names}
    for number in range(1, runs + 1):
        first = (number - 1) % len(names)
        for name in [*names[first:], *names[:first]]:
            begin = CpuSnapshot.take()
            figures = contestants[name]()
            others[name].append(begin.other_cores_since())
            measured[name].append(figures)
            report.add_run(name, number, figures, others[name][-1])
    medians = {name: median_figures(measured[name]) for name in names}
    for name in names:
        report.add_median(name, runs, medians[name], median(others[name]))
    return medians


def median_figures(runs: Sequence[Figures]) -> dict[str, float]:
    """Of each figure that every run has."""
    return {name: median(run[name] for run in runs) for name in runs[0] if all(name in run for run in runs)}
