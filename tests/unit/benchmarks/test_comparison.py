"""Comparing contestants and reporting their figures."""

import json
from functools import partial

import pytest

from benchmarks.harness.benchmark_report import Aim, BenchmarkReport, text_table
from benchmarks.harness.comparison import compare, median_figures


def test_each_contestant_goes_first_in_turn(capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def contestant(name: str) -> dict[str, float]:
        order.append(name)
        return {"rate": float(len(order))}

    compare(BenchmarkReport("x", False), {name: partial(contestant, name) for name in "abc"}, 3)
    assert "".join(order) == "abcbcacab"


def test_medians_ignore_an_outlier(capsys: pytest.CaptureFixture[str]) -> None:
    rates = iter((5.0, 1000.0, 7.0))
    assert compare(BenchmarkReport("x", False), {"a": lambda: {"rate": next(rates)}}, 3) == {"a": {"rate": 7.0}}


def test_medians_cover_the_figures_that_every_run_has() -> None:
    assert median_figures([{"a": 1.0, "b": 5.0}, {"a": 3.0}]) == {"a": 2.0}


def test_every_line_names_the_benchmark_and_the_load_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    report = BenchmarkReport("x", quick=True)
    compare(report, {"a": lambda: {"rate": 12345.678}}, 1)
    report.add_aim("rate", 12345.678, least=10_000)
    run, median, aim = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert run.pop("others_cores") >= 0
    assert median.pop("others_cores") >= 0
    named = {"benchmark": "x", "quick": True}
    assert run == {**named, "contestant": "a", "run": 1, "rate": 12346}
    assert median == {**named, "contestant": "a", "median_of": 1, "rate": 12346}
    assert aim == {**named, "aim": "rate", "measured": 12346, "least": 10_000, "met": True}


@pytest.mark.parametrize(
    ("measured", "least", "most", "met"),
    [(1.5, 1.5, None, True), (1.49, 1.5, None, False), (600, None, 600, True), (601, None, 600, False)],
)
def test_an_aim_is_met_at_its_limit(measured: float, least: float | None, most: float | None, met: bool) -> None:
    assert Aim("x", measured, least, most).met is met


def test_the_table_shows_every_contestant_and_missed_aims() -> None:
    rows = [("a", {"rate": 1.0, "others_cores": 0.1}), ("b", {"cpu": 2.0, "others_cores": 0.2})]
    lines = text_table("x", rows, [Aim("times b", 0.5, least=1.0)]).strip().splitlines()
    assert [line.split() for line in lines] == [
        ["x", "rate", "cpu", "others_cores"],
        ["a", "1", "-", "0.1"],
        ["b", "-", "2", "0.2"],
        ["NOT", "MET", "times", "b:", "0.5"],
    ]
