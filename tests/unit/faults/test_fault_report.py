"""The fault run's complaints: they name every broken promise, and nothing else."""

from dataclasses import replace

import pytest

from tests.acceptance.faults.catalogue import FAULTS
from tests.acceptance.faults.delivery_ledger import Verdict
from tests.acceptance.faults.fault_report import FaultReport, complaints, figures_by_fault, text_table

WELL = FaultReport(
    fault="host lost",
    struck=["first"],
    lasted_seconds=0.1,
    whole_after_seconds=14.0,
    without_writes_seconds=6.0,
    resumed_after_seconds=6.0,
    slowest_enqueue_seconds=6.5,
    most_attempts=9,
    trouble="",
)
CLEAN = Verdict((), (), (), ("x",), ("y",))


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (WELL, []),
        (replace(WELL, without_writes_seconds=10.2), ["host lost: 10.2 s without writes"]),
        (replace(WELL, trouble="not healthy after 90 s"), ["host lost: not healthy after 90 s"]),
        (replace(WELL, fault="disk full", without_writes_seconds=40.0), []),
        (replace(WELL, fault="disk full", resumed_after_seconds=11.0), ["disk full: 11.0 s without writes"]),
        (replace(WELL, fault="power cut", without_writes_seconds=40.0, resumed_after_seconds=20.0), []),
        (replace(WELL, fault="managers restarted", most_attempts=2), []),
        (
            replace(WELL, fault="managers restarted", most_attempts=3),
            ["managers restarted: a request had to be sent 3 times"],
        ),
    ],
)
def test_a_fault_may_not_exceed_its_limits(report: FaultReport, expected: list[str]) -> None:
    assert complaints([report], FAULTS, CLEAN, 10.0) == expected


def test_ids_of_lost_and_doubled_jobs_are_named() -> None:
    verdict = replace(CLEAN, lost=("a",), doubled=tuple("abcdef"))
    assert complaints([WELL], FAULTS, verdict, 10.0) == ["1 lost: a", "6 doubled: a, b, c, d, e, …"]


def test_the_figures_of_a_fault_are_its_median_and_longest() -> None:
    reports = [replace(WELL, without_writes_seconds=seconds) for seconds in (1.0, 2.0, 9.0)]
    figures = figures_by_fault([*reports, replace(WELL, fault="link cut")])
    assert list(figures) == ["host lost", "link cut"]
    assert figures["host lost"] == {
        "times": 3,
        "without_writes_median_seconds": 2.0,
        "without_writes_longest_seconds": 9.0,
        "resumed_longest_seconds": 6.0,
    }
    assert "host lost  3      2.0 s" in text_table(figures)
