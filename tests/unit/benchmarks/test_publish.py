"""What is made of the results."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from benchmarks.harness.charts import Axis, bars, curves
from benchmarks.harness.environments import BULLMQ, CELERY, DRAMATIQ, FASTAPI_RQ, HUEY, RQ, Environment
from benchmarks.publish import draw_charts, markdown_tables

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
    picture = ElementTree.fromstring(draw_charts({"worker_noop": _LINES})["worker_noop"])
    lengths = [float(bar.attrib["width"]) for bar in picture.iter(f"{_SVG}rect") if bar.attrib["fill"] != "white"]
    assert lengths[0] == pytest.approx(2 * lengths[1])


def test_a_curve_runs_through_its_points() -> None:
    points = [(10.0, 0.0), (100.0, 50.0), (1000.0, 100.0)]
    picture = ElementTree.fromstring(curves("t", Axis("x", logarithmic=True), Axis("y"), {"a": points}))
    (line,) = picture.iter(f"{_SVG}polyline")
    (x1, y1), (x2, y2), (x3, y3) = (map(float, pair.split(",")) for pair in line.attrib["points"].split())
    assert x2 - x1 == pytest.approx(x3 - x2)
    assert y1 - y2 == pytest.approx(y2 - y3)
    assert y1 > y3


def test_names_cannot_break_a_picture() -> None:
    assert "<b>&" in "".join(ElementTree.fromstring(bars("t", "u", {"<b>&": 1.0})).itertext())


@pytest.mark.parametrize("environment", [RQ, CELERY, DRAMATIQ, HUEY, BULLMQ, FASTAPI_RQ])
def test_the_peers_are_pinned(environment: Environment) -> None:
    assert all(("@" if environment.node else "==") in package for package in environment.packages)
