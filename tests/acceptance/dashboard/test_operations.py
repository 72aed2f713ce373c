"""Failures in groups, workers, the scaler, schedules, keys and the audit stream: what pages show and buttons do."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerHeartbeat, WorkerRecord, register, send_worker_heartbeat
from tests.acceptance.dashboard.pages import Visitor
from tests.acceptance.dashboard.test_pages import HOSTILE, submit
from tests.acceptance.http.conftest import Start
from tests.acceptance.manager.conftest import HEADER, Worker
from tests.acceptance.manager.keyed_managers import OPERATOR, as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.acceptance.worker_node.conftest import Worker as WorkerProgram
from tests.waiting import DEADLINE_SECONDS, until
from workmanager.local.valkey import ValkeyServer


def fail(api: httpx.Client, server: ValkeyServer, error: str, *, jobs: int = 1, **options: Any) -> None:
    for _ in range(jobs):
        submit(api, **options)
    Worker(server.url, options.get("queue", "default")).fail_all(f"{HEADER}\n{error}")


def test_failures_are_grouped_by_function_and_error(api: httpx.Client, visitor: Visitor, server: ValkeyServer) -> None:
    for number in range(3):
        fail(api, server, f"ValueError: order {number} has no item 0x{number}f")
    fail(api, server, "KeyError: 'x'", jobs=2, queue="b")
    fail(api, server, f"ValueError: {HOSTILE}", function="sleep", kwargs={"seconds": 0})
    # The number of all is of the last second, in which another test may have looked at its jobs.
    until(lambda: "the newest 6 of 6 failed" in visitor.open("/dashboard/failures").text)
    page = visitor.open("/dashboard/failures")
    assert [row[:2] for row in page.rows[1:]] == [["noop", "3"], ["noop", "2"], ["sleep", "1"]]
    assert "exception: ValueError: order 2 has no item 0x2f" in page.rows[1][2]
    assert "<script>alert" not in page.html
    members = visitor.open(page.links["2"])
    assert len(members.rows) == 1 + 2
    assert {row[2] for row in members.rows[1:]} == {"b"}
    of_queue = visitor.open("/dashboard/failures?queue=b")
    assert [row[:2] for row in of_queue.rows[1:]] == [["noop", "2"]]


def test_a_function_that_fails_is_told_while_it_does(api: httpx.Client, start: Start, server: ValkeyServer) -> None:
    fail(api, server, "ValueError: from before")
    with start().client() as client:  # a manager of its own, whose dashboard nobody has looked at
        visitor = Visitor(client)
        assert "fails" not in visitor.open("/").text
        fail(api, server, "ValueError: no such order", jobs=3)
        page = visitor.open("/")
    assert "function 'noop' fails: 3 of its last 3 jobs" in page.text
    assert page.links["See failures"] == "/dashboard/failures"


@pytest.mark.parametrize(("button", "said", "left"), [("requeue", "queued again", 4), ("delete", "deleted", 2)])
def test_a_group_is_changed_and_no_other(
    api: httpx.Client, visitor: Visitor, server: ValkeyServer, button: str, said: str, left: int
) -> None:
    fail(api, server, "ValueError: no 1", jobs=2)
    fail(api, server, "KeyError: 'x'", jobs=2)
    page = visitor.open("/dashboard/failures")
    group = next(form for form in page.forms if form.action.endswith(button) and "Value" in _row_of(page, form))
    done = visitor.send(group)
    assert f"2 jobs are {said}" in done.text
    assert [row[:2] for row in done.rows[1:]] == [["noop", "2"]]
    jobs = api.get("/jobs").json()["jobs"]
    assert len(jobs) == left
    assert all("KeyError" in job["error"]["message"] for job in jobs if job["status"] == "failed")


def test_all_failed_jobs_of_a_queue_run_again(api: httpx.Client, visitor: Visitor, server: ValkeyServer) -> None:
    for queue in ("a", "b"):
        fail(api, server, "ValueError: one", queue=queue)
        fail(api, server, "KeyError: 'other'", queue=queue)
    assert "Requeue all" not in visitor.open("/dashboard/failures").text
    done = visitor.press(visitor.open("/dashboard/failures?queue=a"), "Requeue all")
    assert "2 jobs are queued again" in done.text
    assert {(job["queue"], job["status"]) for job in api.get("/jobs").json()["jobs"]} == {
        ("a", "queued"),
        ("b", "failed"),
    }


def _row_of(page: Any, form: Any) -> str:
    keys = [form.fields["group"] for form in page.forms if "group" in form.fields and form.action.endswith("requeue")]
    return str(page.rows[1:][keys.index(form.fields["group"])])


def test_workers_are_listed_those_first_that_need_a_look(
    api: httpx.Client, visitor: Visitor, server: ValkeyServer
) -> None:
    async def register_workers() -> None:
        shards = await Shards.connect(server.url)
        for name, problems in (("a-well", ()), ("b-ill", (f"module shop is missing {HOSTILE}",))):
            record = WorkerRecord(name, "host", 1, ("default", "b"), 4, problems=problems)
            await register(shards.all[0], record)
            await send_worker_heartbeat(
                shards.all[0], name, WorkerHeartbeat("busy", 3, 10, 2, 1.0, jobs=("one", "two"))
            )
        await shards.close()

    asyncio.run(register_workers())
    page = visitor.open("/dashboard/workers")
    assert [row[0] for row in page.rows[1:]] == ["b-ill", "a-well"]
    assert page.row("a-well")[1:7] == ["busy", "3", "one, two and 1 more", "4", "10", "2"]
    assert page.links["two"] == "/dashboard/jobs/two"
    assert f"module shop is missing {HOSTILE}" in page.row("b-ill")[-2]
    overview = visitor.open("/")
    assert "6 of 8 slots busy" in overview.text
    assert "jobs of a module fail on worker b-ill" in overview.text


def test_a_worker_is_drained(
    api: httpx.Client, visitor: Visitor, server: ValkeyServer, tmp_path: Path, manager: ManagerProgram
) -> None:
    worker = WorkerProgram(server.url, tmp_path / "worker.log", "--name", "rack/7")
    try:
        worker.wait_until_started()
        job = api.post("/jobs", json={"function": "sleep", "kwargs": {"seconds": 2}}).raise_for_status().json()["id"]
        shown = f"/dashboard/jobs/{job}"
        until(lambda: shown in visitor.open("/dashboard/workers").links.values(), wanted="the job beside its worker")
        later = api.post("/jobs", json={"function": "noop"}).raise_for_status().json()["id"]
        drained = visitor.press(visitor.open("/dashboard/workers"), "Drain rack/7")
        assert "The worker is told to drain" in drained.text
        assert worker.process.wait(DEADLINE_SECONDS) == 0
    finally:
        worker.process.kill()
    assert api.get(f"/jobs/{job}").json()["status"] == "finished"
    assert api.get(f"/jobs/{later}").json()["status"] == "queued"
    assert "event=worker_drained worker=rack/7 by=none" in manager.log
    (entry,) = api.get("/audit?limit=1").json()["entries"]
    assert (entry["action"], entry["target"]) == ("worker_drained", "rack/7")
    gone = api.post("/workers/rack%2F7/drain")
    assert (gone.status_code, gone.json()["type"]) == (404, "urn:workmanager:problem:no-such-worker")
    server.command("SADD", "rq:workers", "rq:worker:plain")
    server.command("HSET", "rq:worker:plain", "state", "idle")
    assert [form.label for form in visitor.open("/dashboard/workers").forms] == []
    refused = api.post("/workers/plain/drain")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:workmanager:problem:plain-rq-worker")


def test_the_scaler_is_paused_limited_and_resumed(api: httpx.Client, visitor: Visitor) -> None:
    page = visitor.press(visitor.open("/dashboard/scaler"), "Pause the scaler")
    assert "The scaler is paused" in page.text
    assert api.get("/scaler").json()["paused"] is True
    assert "the scaler is paused" in visitor.open("/").text
    limited = visitor.send(page.form("Set limits"), min_workers="1", max_workers="3")
    assert "1 to 3 allowed" in limited.text
    wrong = visitor.send(limited.form("Set limits"), min_workers="9", max_workers="3")
    assert wrong.status == 409
    assert "min_workers 9 is more than max_workers 3" in wrong.text
    assert visitor.send(limited.form("Set limits"), max_workers="many").status == 422
    visitor.press(limited, "Resume the scaler")
    assert api.get("/scaler").json()["paused"] is False


def test_decisions_have_their_reasons_beside_the_numbers(
    api: httpx.Client, visitor: Visitor, server: ValkeyServer
) -> None:
    reason = "LAUNCH 2: wait 60 -> 20 job-seconds saves 40s, cost 30s; queued=7 idle=0"
    now = time.time()
    decision = {"at": now, "epoch": 1, "launch": 2, "drain": 0, "reason": reason, "numbers": {"queued": 7, "idle": 0}}
    server.command("LPUSH", "rq:wm:scaler:decisions", json.dumps(decision))
    page = visitor.open("/dashboard/scaler")
    launch, drain, why, line, numbers = page.rows[1][1:]
    assert (launch, drain, numbers) == ("2", "0", "queued 7, idle 0")
    assert why.startswith("The waiting jobs would wait 60 s in all without more workers, and 20 s with them")
    assert line == reason.partition("; ")[0]
    assert "<title>2 launched</title>" in page.html  # on the time axis
    assert "with 1 decision that launched" in page.html


def test_a_schedule_is_shown_run_paused_and_deleted(api: httpx.Client, visitor: Visitor) -> None:
    body = {"cron": "30 1 * * *", "timezone": "Europe/Berlin", "job": {"function": "noop"}}
    api.put("/schedules/nightly", json=body).raise_for_status()
    assert visitor.open("/dashboard/schedules").row("nightly")[2] == "noop"
    page = visitor.open("/dashboard/schedules/nightly")
    assert "Europe/Berlin" in page.text
    ran = visitor.press(page, "Run now")
    assert "The schedule runs now" in ran.text
    assert "triggered" in ran.text
    paused = visitor.press(ran, "Pause")
    assert "paused since" in paused.text
    assert "paused since" not in visitor.press(paused, "Resume").text
    assert page.links["Preview another expression"].startswith("/dashboard/schedules?cron=30+1+")
    gone = visitor.press(paused, "Delete the schedule")
    assert "There is no schedule" in gone.text


def test_an_expression_is_previewed_before_a_schedule_has_it(visitor: Visitor) -> None:
    form = visitor.open("/dashboard/schedules").form("Preview")
    assert form.fields == {"cron": "", "timezone": "UTC"}
    page = visitor.open(f"{form.action}?{urlencode({'cron': '30 2 * * *', 'timezone': 'Europe/Berlin'})}")
    assert "30 2 * * * : At 02:30 every day (Europe/Berlin). It would run next" in page.text
    assert page.html.count("<li><time") >= 5
    assert "changes of the clock do to it within a year" in page.text
    assert page.form("Preview").fields == {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    for given, problem in (
        ({"cron": f"61 2 * * {HOSTILE}"}, "cron: "),
        ({"cron": "0 2 * * *", "timezone": "Berlin!"}, "timezone: "),
    ):
        page = visitor.open(f"{form.action}?{urlencode(given)}")
        assert (page.status, problem in page.text, "<script>alert" in page.html) == (200, True, False)
        assert page.form("Preview").fields["cron"] == given["cron"]


def test_an_administrator_sees_keys_and_who_changed_what(keyed: ManagerProgram, stranger: Visitor) -> None:
    key = create(keyed, "jobs:read", queues=["a", "b-*"])
    stranger.sign_in(OPERATOR)
    page = stranger.open("/dashboard/keys")
    assert page.row(key["id"])[1:3] == ["jobs:read", "a, b-*"]
    assert key["key"] not in page.html
    revoked = stranger.press(page, f"Revoke key {key['id']}")
    assert "The key is revoked" in revoked.text
    with as_(keyed, key["key"]) as client:
        assert client.get("/jobs").status_code == 401
    audit = stranger.open("/dashboard/audit")
    changes = [row[1:4] for row in audit.rows[1:]]
    assert ["env-1", "api key revoked", key["id"]] in changes
    assert ["env-1", "api key created", key["id"]] in changes


def test_pages_for_administrators_are_closed_to_others(keyed: ManagerProgram, stranger: Visitor) -> None:
    stranger.sign_in(create(keyed, "jobs:read", "jobs:write")["key"])
    page = stranger.open("/dashboard/scaler")
    assert [form.label for form in page.forms if "caler" in form.label or "limits" in form.label] == []
    for path in ("/dashboard/keys", "/dashboard/audit"):
        assert stranger.open(path).status == 403
        assert path not in page.links.values()
    for path in ("scaler/pause", "scaler/limits", "keys/x/revoke"):
        assert stranger.post(f"/dashboard/{path}", {}).status_code == 403


def test_a_key_that_is_bound_to_queues_changes_those_alone(
    keyed: ManagerProgram, stranger: Visitor, server: ValkeyServer
) -> None:
    with as_(keyed, OPERATOR) as operator:
        for queue in ("bound-a", "bound-b"):
            fail(operator, server, "ValueError: same", jobs=2, queue=queue)
    stranger.sign_in(create(keyed, "jobs:read", "jobs:write", queues=["bound-a"])["key"])
    page = stranger.open("/dashboard/failures")
    assert [row[1] for row in page.rows[1:]] == ["2"]
    (form,) = [form for form in page.forms if form.label == "Requeue the group"]
    assert "2 jobs are queued again" in stranger.send(form).text
    assert stranger.open("/dashboard/failures?queue=bound-b").rows == []
    for path in ("/dashboard/workers", "/dashboard/scaler"):
        assert stranger.open(path).status == 403
        assert path not in page.links.values()
    assert stranger.client.get("/dashboard/events?page=workers").status_code == 403
    with as_(keyed, OPERATOR) as operator:
        statuses = {job["queue"]: job["status"] for job in operator.get("/jobs").json()["jobs"]}
    assert (statuses["bound-a"], statuses["bound-b"]) == ("queued", "failed")
