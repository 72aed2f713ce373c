"""Workflows as graphs, callbacks with their attempts, and why a job does not run."""

import httpx

from tests.acceptance.dashboard.pages import Visitor
from tests.acceptance.dashboard.test_pages import HOSTILE, submit
from tests.acceptance.manager.conftest import Worker
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer


def test_a_workflow_is_drawn_canceled_and_run_again(api: httpx.Client, visitor: Visitor, server: ValkeyServer) -> None:
    jobs = {
        "fetch": {"function": "noop"},
        "left": {"function": "noop", "depends_on": ["fetch"]},
        "right": {"function": "noop", "depends_on": [{"id": "fetch", "when": "ended"}], "queue": "b"},
        "join": {"function": "noop", "depends_on": ["left", "right"]},
    }
    api.post("/workflows", json={"id": "flow", "jobs": jobs}).raise_for_status()
    Worker(server.url).fail_all()
    until(lambda: api.get("/workflows/flow").json()["jobs"]["right"]["status"] == "queued", wanted="its turn")
    page = visitor.open("/dashboard/workflows?id=flow")
    assert page.row("fetch")[1] == "failed"
    assert page.row("right")[4] == "fetch (however it ends)"
    # The graph: a column for each step, and a line for each edge.
    assert page.html.count('<rect class="failed" x="0"') == 1
    assert page.html.count('<rect class="queued" x="210"') == 1
    assert page.html.count("<path d=") == 4
    assert page.row("join")[5] in page.links
    assert visitor.open(page.links[page.row("join")[5]]).links["flow"] == "/dashboard/workflows/flow"
    canceled = visitor.press(page, "Cancel the workflow")
    assert "What waited is canceled" in canceled.text
    assert canceled.row("right")[1] == "canceled"
    again = visitor.press(canceled, "Run again what did not finish")
    assert again.row("fetch")[1] == "queued"
    assert visitor.open("/dashboard/workflows?id=none").status == 404


def test_callbacks_are_listed_with_their_last_try_and_sent_now(
    api: httpx.Client, visitor: Visitor, server: ValkeyServer
) -> None:
    job_id = submit(api, callback_url="http://127.0.0.1:1/secret")
    Worker(server.url).finish_all(HOSTILE)
    until(lambda: [each["tries"] for each in api.get("/callbacks").json()["callbacks"]] == [1], wanted="a try")
    page = visitor.open("/dashboard/callbacks?status=failing&host=127.0.0.1:1")
    _, host, status, answer, tries, *_ = page.row(job_id)
    assert (host, status, tries) == ("127.0.0.1:1", "failing", "1")
    assert answer != ""
    assert "secret" not in page.html
    assert visitor.open(f"/dashboard/jobs/{job_id}").links["127.0.0.1:1"] == "/dashboard/callbacks?host=127.0.0.1%3A1"
    sent = visitor.press(page, f"Send now the callback of job {job_id}")
    assert "The callback is sent now" in sent.text
    until(lambda: [each["tries"] for each in api.get("/callbacks").json()["callbacks"]] == [2], wanted="another try")
    assert "There are none of this kind" in visitor.open("/dashboard/callbacks?status=dead&host=").text
    replayed = visitor.post("/dashboard/callbacks/replay", {"host": "127.0.0.1:1"}, follow_redirects=True)
    assert "0 callbacks are sent again" in replayed.text


def test_a_job_says_what_it_waits_for(api: httpx.Client, visitor: Visitor) -> None:
    submit(api, id="parent", delay=600)
    submit(api, id="child", depends_on=["parent"])
    page = visitor.open("/dashboard/jobs/child")
    assert page.links["parent"] == "/dashboard/jobs/parent"
    assert api.get("/jobs/child/explain").json()["sentence"] in page.text


def test_a_limit_is_shown_with_its_holders_and_set(api: httpx.Client, visitor: Visitor, server: ValkeyServer) -> None:
    runs, *wait = [submit(api, limits=[{"key": "shop:1", "concurrency": 1}]) for _ in range(8)]
    Worker(server.url).claim()
    page = visitor.open("/dashboard/limits")
    following = f"{', '.join(wait[:5])} and 2 more"
    assert page.row("shop:1")[1:] == ["1", "1", "any", "", "its jobs", runs, "7", following]
    assert [page.links[job_id] for job_id in (runs, wait[0])] == [f"/dashboard/jobs/{each}" for each in (runs, wait[0])]
    changed = visitor.send(page.form("Set limit"), key="shop:1", concurrency="5", rate="100/1m")
    assert "The limit holds from now on" in changed.text
    assert changed.row("shop:1")[2:6] == ["5", "100/1m", "1", "an operator"]
    assert visitor.send(page.form("Set limit"), key="shop:1", rate="fast").status == 422
