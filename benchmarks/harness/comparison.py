"""Measures contestants in turn, several times, so that other load on the machine affects all of them alike."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.machine import CpuSnapshot


@dataclass(frozen=True, slots=True)
class BenchmarkOptions:
    """A benchmark's command-line options.

    Attributes:
        quick: finish in less than two minutes; the figures vary more.
        runs: number of runs per contestant.
    """

    quick: bool
    runs: int

    def pick(self, quick: int, full: int) -> int:
        """Return the value for a quick or a full run."""
        return quick if self.quick else full


def parse_options(module: str, about: str, *, quick_runs: int = 2, full_runs: int = 5) -> BenchmarkOptions:
    """Parse the command line of a benchmark."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=about)
    parser.add_argument("--quick", action="store_true", help="finish in less than two minutes; the figures vary more")
    parser.add_argument("--runs", type=int, help="runs per contestant; the figures are their medians")
    given = parser.parse_args()
    return BenchmarkOptions(given.quick, given.runs or (quick_runs if given.quick else full_runs))


def compare(
    report: BenchmarkReport, contestants: Mapping[str, Callable[[], Figures]], runs: int
) -> dict[str, dict[str, float]]:
    """Measure every contestant `runs` times, in turn; every round starts with another one.

    Returns:
        The medians of each contestant's figures.
    """
    names = list(contestants)
    measured: dict[str, list[Figures]] = {name: [] for name in names}
    other_cores: dict[str, list[float]] = {name: [] for name in names}
    for number in range(1, runs + 1):
        first = (number - 1) % len(names)
        for name in [*names[first:], *names[:first]]:
            before = CpuSnapshot.take()
            figures = contestants[name]()
            other_cores[name].append(before.other_cores_since())
            measured[name].append(figures)
            report.add_run(name, number, figures, other_cores[name][-1])
    medians = {name: median_figures(measured[name]) for name in names}
    for name in names:
        report.add_median(name, runs, medians[name], median(other_cores[name]))
    return medians


def median_figures(runs: Sequence[Figures]) -> dict[str, float]:
    """Return the median of each figure that every run has."""
    return {name: median(run[name] for run in runs) for name in runs[0] if all(name in run for run in runs)}
