"""Tables and charts made from the results."""

import re
from xml.etree import ElementTree

import pytest

from benchmarks.harness.charts import Axis, draw_bars, draw_lines
from benchmarks.harness.environments import BULLMQ, CELERY, DRAMATIQ, FASTAPI_RQ, HUEY, RQ, Environment
from benchmarks.publish import ORDER, RESULTS, draw_charts, markdown_tables, read_results

_SVG = "{http://www.w3.org/2000/svg}"
_COMMON = {"benchmark": "worker_noop", "quick": False}
_LINES = [
    {**_COMMON, "machine": {"cores": 2}},
    {**_COMMON, "contestant": "a", "run": 1, "jobs_per_second": 9, "others_cores": 0.0},
    {**_COMMON, "contestant": "a", "median_of": 5, "jobs_per_second": 20_000, "others_cores": 0.1},
    {**_COMMON, "contestant": "b", "median_of": 5, "jobs_per_second": 10_000, "others_cores": 0.2},
    {**_COMMON, "aim": "times b", "measured": 2.0, "least": 3.0, "met": False},
]


def test_a_missed_aim_is_shown_as_missed() -> None:
    assert "| `worker_noop` | times b ≥ 3 | 2 | **not met** |" in markdown_tables({"worker_noop": _LINES})


def test_the_medians_are_shown_and_the_runs_are_not() -> None:
    text = markdown_tables({"worker_noop": _LINES})
    assert "| a | 20,000 | 5 | 0.1 |" in text
    assert "| 9 |" not in text


def test_a_bar_is_as_long_as_its_value() -> None:
    chart = draw_charts({"worker_noop": _LINES})["worker_noop"]
    shorter, longer = (max(x) - min(x) for x, _ in _paths(chart, "fill", "#1f6feb"))
    assert longer == pytest.approx(2 * shorter)


def test_a_line_runs_through_its_points() -> None:
    points = [(10.0, 0.0), (100.0, 50.0), (1000.0, 100.0)]
    chart = draw_lines("t", Axis("x", logarithmic=True), Axis("y"), {"a": points})
    ((xs, ys),) = _paths(chart, "stroke", "#1f77b4")
    (x1, x2, x3), (y1, y2, y3) = xs, ys
    assert x2 - x1 == pytest.approx(x3 - x2)
    assert y1 - y2 == pytest.approx(y2 - y3)
    assert y1 > y3


@pytest.mark.parametrize("name", ["<b>&", "$x$", "_a_"])
def test_names_are_drawn_literally(name: str) -> None:
    assert name in "".join(ElementTree.fromstring(draw_bars("t", "u", {name: 1.0})).itertext())


def test_the_published_charts_are_those_of_the_published_results() -> None:
    results = {name: read_results(RESULTS / f"{name}.jsonl") for name in ORDER}
    charts = {path.stem: path.read_text() for path in (RESULTS.parent / "pictures").glob("*.svg")}
    assert draw_charts(results) == charts
    assert markdown_tables(results) in (RESULTS.parent / "README.md").read_text()


def _paths(chart: str, property_name: str, color: str) -> list[tuple[list[float], list[float]]]:
    """x and y of every path that is filled or stroked with a color."""
    found = []
    for path in ElementTree.fromstring(chart).iter(f"{_SVG}path"):
        if f"{property_name}: {color}" in path.attrib.get("style", ""):
            numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.attrib["d"])]
            found.append((numbers[::2], numbers[1::2]))
    return found


@pytest.mark.parametrize("environment", [RQ, CELERY, DRAMATIQ, HUEY, BULLMQ, FASTAPI_RQ])
def test_the_peers_are_pinned(environment: Environment) -> None:
    assert all(("@" if environment.node else "==") in package for package in environment.packages)
