"""What pages show, computed from what was read."""

from datetime import UTC, datetime

import pytest

from jobqueue.job_view import JobView
from manager.dashboard.charts import HEIGHT, WIDTH, chart, rate_chart
from manager.dashboard.forms import own_page
from manager.dashboard.rendering import show_duration, show_number, show_time
from manager.dashboard.sampler import Point
from manager.dashboard.views.jobs import job_rows
from manager.dashboard.views.workflow_graph import MAX_DRAWN, draw_workflow


def job(status: str, *, started_at: str | None = None, ended_at: str | None = None) -> JobView:
    return JobView(
        id=status,
        function="noop",
        queue="default",
        status=status,
        result=None,
        error=None,
        attempts=1,
        created_at=None,
        enqueued_at=None,
        started_at=started_at,
        ended_at=ended_at,
        worker=None,
        meta=None,
    )


def point(at: float, waiting: int = 0, finished: int = 0) -> Point:
    return Point(at, waiting, 0, 0, 0, finished, 0)


def test_a_chart_ends_now_and_reaches_its_largest_value() -> None:
    drawn = chart([point(1000.0, 4), point(1150.0, 8), point(1300.0, 0)], lambda each: each.waiting)
    assert drawn.points == f"0.0,{HEIGHT - 1 - 59:.1f} {WIDTH / 2:.1f},1.0 {WIDTH:.1f},{HEIGHT - 1:.1f}"
    assert (drawn.now, drawn.most) == (0, 8)
    assert chart([], lambda each: each.waiting).points == ""


def test_a_rate_is_the_mean_of_ten_seconds_and_never_negative() -> None:
    history = [point(float(second), finished=5 * second) for second in range(20)]
    assert rate_chart(history, lambda each: each.finished).now == 5.0
    # The counters were deleted.
    assert rate_chart([*history, point(20.0, finished=0)], lambda each: each.finished).now == 0.0


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        *((None, "none"), (float("inf"), "none"), (0.04, "0.0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h")),
        *((7261, "2 h 1 min"), (90_000, "1 d 1 h")),
    ],
)
def test_durations_have_their_two_largest_units(seconds: float | None, shown: str) -> None:
    assert show_duration(seconds) == shown


def test_numbers_and_times_have_their_exact_value_beside_them() -> None:
    assert show_number(1234567) == '<data value="1234567">1,234,567</data>'
    assert show_number(0.25) == '<data value="0.25">0.2</data>'
    time = '<time datetime="2023-11-14T22:13:20.000+00:00">2023-11-14 22:13:20 UTC</time>'
    assert show_time(1_700_000_000) == time
    assert show_time("2023-11-14T22:13:20.000000Z") == time
    assert show_time("2023-11-14T23:13:20+01:00") == time
    for none in (None, "", "x", 1e300):
        assert show_time(none) == "none"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "//a/",
        "///dashboard/a",
        "https://a/",
        "/jobs",
        "/dashboardx",
        "/\\a",
        "/dashboard/\n",
        "/dashboard/ä",
        "http://[/",
    ],
)
def test_only_pages_of_the_dashboard_are_gone_to(text: str) -> None:
    assert own_page(text) == "/"
    assert own_page("/dashboard/jobs?status=failed") == "/dashboard/jobs?status=failed"


def workflow(**parents: str) -> dict[str, dict[str, object]]:
    return {
        name: {"id": f"id-{name}", "status": "queued", "depends_on": [{"job": each} for each in those.split()]}
        for name, those in parents.items()
    }


def test_a_workflow_is_drawn_in_columns() -> None:
    graph = draw_workflow(workflow(last="left right", left="first", right="first elsewhere", first=""))
    assert graph is not None
    places = {box.name: (box.x, box.y) for box in graph.boxes}
    assert places == {"first": (0, 0), "left": (210, 0), "right": (210, 54), "last": (420, 0)}
    assert len(graph.lines) == 4
    assert (160, 20, 210, 74) in graph.lines


def test_a_circle_in_a_record_is_drawn_all_the_same() -> None:
    graph = draw_workflow(workflow(a="b", b="a"))
    assert graph is not None
    assert len(graph.lines) == 2


def test_a_large_workflow_is_not_drawn() -> None:
    assert draw_workflow(workflow(**{f"n{number}": "" for number in range(MAX_DRAWN + 1)})) is None


def test_a_job_that_runs_shows_how_long_it_has_run_so_far() -> None:
    now = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
    runs = job("started", started_at="2026-01-01T12:00:00Z")
    # The one of an earlier attempt.
    waits = job("queued", started_at="2026-01-01T11:00:00Z", ended_at="2026-01-01T11:00:05Z")
    ended = job("finished", started_at="2026-01-01T12:00:00Z", ended_at="2026-01-01T12:00:07Z")
    assert [row.run_seconds for row in job_rows([runs, waits, ended, job("queued")], now)] == [30.0, 5.0, 7.0, None]
