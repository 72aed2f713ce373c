"""The pages of jobs: found by status, queue, function and id; one job's life, and what can be done to it."""

import httpx
import pytest

from tests.acceptance.dashboard.pages import Visitor
from tests.acceptance.dashboard.test_pages import HOSTILE, submit
from tests.acceptance.manager.conftest import HEADER, Worker
from tests.acceptance.manager.manager_program import ManagerProgram
from workmanager.local.valkey import ValkeyServer


def ids(rows: list[list[str]]) -> list[str]:
    return [row[0] for row in rows[1:]]


def test_jobs_are_listed_by_status_the_newest_first(api: httpx.Client, visitor: Visitor, server: ValkeyServer) -> None:
    worker = Worker(server.url, "a")
    for name in ("one", "two", "three"):
        submit(api, queue="a", id=name)
        worker.fail_all()
    submit(api, queue="b", id="waiting")
    failed = visitor.open("/dashboard/jobs?status=failed")
    assert ids(failed.rows) == ["three", "two", "one"]
    assert "ValueError: no" in failed.row("two")[-1]
    assert ids(visitor.open("/dashboard/jobs?status=queued").rows) == ["waiting"]
    assert "No job is failed in queue b" in visitor.open("/dashboard/jobs?status=failed&queue=b").text
    assert visitor.open("/dashboard/jobs?id=waiting&queue=&function=").text.startswith("Skip")
    assert "Job waiting" in visitor.open("/dashboard/jobs?id=waiting").text


def test_pages_of_jobs_stay_right_while_others_come_and_go(
    api: httpx.Client, visitor: Visitor, server: ValkeyServer
) -> None:
    worker = Worker(server.url)
    names = [f"job-{number:03}" for number in range(120)]
    lines = "\n".join(f'{{"function": "noop", "id": "{name}"}}' for name in names)
    api.post("/jobs/batch", content=lines, headers={"Content-Type": "application/x-ndjson"}).raise_for_status()
    worker.finish_all()
    page = visitor.open("/dashboard/jobs?status=finished")
    seen = ids(page.rows)
    assert len(seen) == 50
    for name in seen[:10]:
        api.delete(f"/jobs/{name}").raise_for_status()
    for number in range(5):
        submit(api, id=f"later-{number}")
        worker.finish_all()
    while "Next page" in page.links:
        page = visitor.open(page.links["Next page"])
        seen += ids(page.rows)
    assert sorted(seen) == names


def test_a_search_by_function_says_what_it_has_searched(
    api: httpx.Client, visitor: Visitor, server: ValkeyServer
) -> None:
    submit(api, function="sleep", kwargs={"seconds": 0}, id="rare")
    for _ in range(3):
        submit(api)
    Worker(server.url).fail_all()
    page = visitor.open("/dashboard/jobs?status=failed&function=sleep")
    assert ids(page.rows) == ["rare"]
    assert "Searched 4 jobs" in page.text


def test_jobs_are_found_by_a_label(api: httpx.Client, visitor: Visitor, server: ValkeyServer) -> None:
    submit(api, id="one", labels={"order": "42"})
    submit(api, id="two", labels={"order": "42"}, queue="b")
    submit(api, id="other", labels={"order": "43"})
    Worker(server.url).fail_all()
    page = visitor.open("/dashboard/jobs?label=order:42&id=&status=")
    assert ids(page.rows) == ["two", "one"]
    assert ids(visitor.open("/dashboard/jobs?label=order:42&status=failed").rows) == ["one"]
    assert ids(visitor.open(visitor.open("/dashboard/jobs/other").links["order:43"]).rows) == ["other"]
    assert "No job has the label order:44" in visitor.open("/dashboard/jobs?label=order:44").text


def test_a_job_shows_its_life_arguments_and_result(api: httpx.Client, visitor: Visitor, server: ValkeyServer) -> None:
    submit(api, id="some", function="sleep", kwargs={"seconds": 0}, meta={"order": HOSTILE})
    Worker(server.url).finish_all({"answer": HOSTILE})
    page = visitor.open("/dashboard/jobs/some")
    for text in ("created", "enqueued", "started on tests-worker", "finished", '"seconds": 0'):
        assert text in page.text
    assert page.text.count(HOSTILE.replace('"', '\\"')) == 2
    assert "<script>alert" not in page.html


def test_errors_of_all_attempts_are_shown(api: httpx.Client, visitor: Visitor, server: ValkeyServer) -> None:
    submit(api, id="some", retry={"max": 1})
    Worker(server.url).fail_all(f"{HEADER}\nValueError: no {HOSTILE}")
    page = visitor.open("/dashboard/jobs/some")
    assert "attempt 1 failed on tests-worker" in page.text
    for number in (1, 2):
        assert f"Attempt {number}: exception: ValueError: no {HOSTILE}" in page.text


@pytest.mark.parametrize(
    ("state", "button", "status", "said"),
    [
        ("queued", "Cancel the job", "canceled", "The job is canceled"),
        ("failed", "Requeue", "queued", "The job is queued again"),
        ("failed", "Delete the job", None, "The job is deleted"),
    ],
)
def test_a_job_is_changed_with_a_button(
    api: httpx.Client,
    visitor: Visitor,
    server: ValkeyServer,
    state: str,
    button: str,
    status: str | None,
    said: str,
) -> None:
    submit(api, id="some")
    if state == "failed":
        Worker(server.url).fail_all()
    done = visitor.press(visitor.open("/dashboard/jobs/some"), button)
    assert said in done.text
    answer = api.get("/jobs/some")
    assert answer.json().get("status") == (status or 404)


def test_a_change_that_comes_too_late_is_told(api: httpx.Client, visitor: Visitor, server: ValkeyServer) -> None:
    submit(api, id="some")
    page = visitor.open("/dashboard/jobs/some")
    Worker(server.url).finish_all()
    late = visitor.press(page, "Cancel the job")
    assert late.status == 409
    assert "the job is finished: it cannot be canceled" in late.text
    assert visitor.open("/dashboard/jobs/none").status == 404


def test_a_waiting_job_says_why_it_does_not_run(api: httpx.Client, visitor: Visitor) -> None:
    submit(api, id="some", queue="a")
    visitor.press(visitor.open("/dashboard/queues"), "Pause queue a")
    sentence = api.get("/jobs/some/explain").json()["sentence"]
    assert "paused" in sentence
    assert sentence in visitor.open("/dashboard/jobs/some").text


def test_arguments_are_hidden_where_the_operator_says_so(server: ValkeyServer, prefixed: ManagerProgram) -> None:
    server.command("FLUSHALL")
    with prefixed.client() as client:
        submit(client, id="some", function="sleep", kwargs={"seconds": 987654})
        Worker(server.url).fail_all(f"{HEADER}\nValueError: 987654")
        for path in ("jobs/some", "jobs?status=failed", "failures"):
            page = Visitor(client).open(f"/queue/dashboard/{path}")
            assert "sleep" in page.text
            assert "987654" not in page.html


def test_a_running_job_shows_how_far_it_is_and_what_it_logs(
    api: httpx.Client, visitor: Visitor, server: ValkeyServer
) -> None:
    submit(api, id="told")
    Worker(server.url).claim()
    server.command("HSET", "rq:job:told", "wm_progress", '{"done":3,"total":10,"text":"<b>tile</b>","at":1.0}')
    for number in range(250):
        server.command("XADD", "rq:wm:log:told", "*", "at", 1, "attempt", 1, "text", f"{HOSTILE} {number}")
    page = visitor.open("/dashboard/jobs/told")
    assert "<b>tile</b>" in page.text
    assert f"{HOSTILE} 249" in page.text
    assert f"{HOSTILE} 49 " not in page.text
    assert "earlier lines are not shown here" in page.text
    assert HOSTILE not in page.html
    assert 'max="10" value="3"' in page.html
