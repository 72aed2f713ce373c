"""Schedules over HTTP: created, shown, changed, paused, triggered and refused; and their runs, which RQ's tools see."""

import json
import re
import shlex
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from rq.cron import get_cron_job_ids
from rq.cron_job_registry import get_names

from tests.acceptance.manager.conftest import Worker
from tests.acceptance.manager.keyed_managers import as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until

PAGE = Path(__file__).parents[3] / "docs/schedules.md"
NOOP = {"function": "noop"}
DAILY = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "job": NOOP}


def put(http: httpx.Client, name: str, status: int = 201, **body: Any) -> dict[str, Any]:
    answer = http.put(f"/schedules/{name}", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_schedule_is_created_shown_changed_and_deleted(http: httpx.Client) -> None:
    assert http.get("/schedules").json() == {"schedules": [], "unreadable": [], "shards_unavailable": 0}
    created = put(http, "nightly", **DAILY, overlap="queue", catch_up="15m", jitter=60, max_runs=3)
    assert created["description"] == "At 02:30 every day (Europe/Berlin)"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT0[23]:[03]0:00\+0[12]:00", created["next"])
    assert created.pop("outcome") == "created"
    assert created["catch_up"] == {"within": 900, "runs": "latest"}
    same = put(http, "nightly", 200, **DAILY, overlap="queue", catch_up=900, jitter="1m", max_runs=3)
    assert same == created | {"outcome": "same"}
    shown = http.get("/schedules/nightly").json()
    assert {name: shown[name] for name in created} == created
    assert len(shown["upcoming"]) == 3
    assert [change["note"][:5] for change in shown["clock_changes"]] == ["02:30", "02:30"]
    assert (shown["history"], shown["active"]) == ([], [])
    changed = put(http, "nightly", 200, every="90s", job=NOOP)
    assert changed["description"] == "Every 90 seconds"
    assert _time(changed["created_at"]) == _time(created["created_at"])
    assert [each["name"] for each in http.get("/schedules").json()["schedules"]] == ["nightly"]
    assert http.delete("/schedules/nightly").status_code == 204
    assert http.delete("/schedules/nightly").json()["type"] == "urn:workmanager:problem:no-such-schedule"
    assert http.get("/schedules/nightly").status_code == 404


def test_runs_are_jobs_and_rqs_tools_see_them(http: httpx.Client, redis_url: str) -> None:
    put(http, "often", every=1, overlap="allow", job={**NOOP, "queue": "reports", "meta": {"a": 1}}, max_runs=2)
    shown = until(lambda: (body := http.get("/schedules/often").json())["runs"] == 2 and body)
    assert shown["next"] is None
    latest, first = shown["history"]
    assert [row["outcome"] for row in shown["history"]] == ["fired", "fired"]
    assert [latest["job_id"], first["job_id"]] == shown["active"]
    assert first["job_id"] == "often-" + re.sub(r"[-:]", "", first["instant"])
    job = http.get(f"/jobs/{first['job_id']}").json()
    assert (job["function"], job["queue"], job["status"], job["meta"]) == ("noop", "reports", "queued", {"a": 1})
    assert Worker(redis_url, "reports").finish_all() == 2
    redis = Redis.from_url(redis_url)
    assert get_names(redis) == ["often"]
    assert get_cron_job_ids("often", redis) == [latest["job_id"], first["job_id"]]
    assert 'workmanager_schedule_runs_total{outcome="fired"} 2.0' in http.get("/metrics").text
    assert "workmanager_schedules 1.0" in http.get("/metrics").text


def test_a_paused_schedule_does_not_run_until_it_is_resumed(http: httpx.Client) -> None:
    put(http, "often", every=1, overlap="allow", job=NOOP)
    paused = http.post("/schedules/often/pause", json={"note": "the receiver is down"}).json()
    assert (paused["paused"]["by"], paused["paused"]["note"]) == ("none", "the receiver is down")
    assert paused["next"] is None
    # Changed meanwhile, it stays paused.
    assert put(http, "often", 200, every=1, job=NOOP)["paused"] == paused["paused"]
    before = http.get("/schedules/often").json()["runs"]
    triggered = http.post("/schedules/often/trigger")
    assert triggered.headers["Location"] == f"/jobs/{triggered.json()['id']}"
    assert http.get(f"/jobs/{triggered.json()['id']}").json()["status"] == "queued"
    assert http.get("/schedules/often").json()["runs"] == before
    resumed = http.post("/schedules/often/resume").json()
    assert resumed["paused"] is None
    assert resumed["next"] is not None


def test_triggered_runs_do_not_overlap_unless_the_schedule_allows_it(http: httpx.Client) -> None:
    put(http, "nightly", **DAILY)
    first = http.post("/schedules/nightly/trigger").json()["id"]
    refused = http.post("/schedules/nightly/trigger")
    assert (refused.status_code, refused.json()["id"]) == (409, first)
    assert http.post(f"/jobs/{first}/cancel").is_success
    second = http.post("/schedules/nightly/trigger").json()["id"]
    put(http, "nightly", 200, **DAILY, overlap="allow")
    third = http.post("/schedules/nightly/trigger").json()["id"]
    history = http.get("/schedules/nightly").json()["history"]
    assert [(row["outcome"], row["job_id"]) for row in history] == [
        ("triggered", third),
        ("triggered", second),
        ("triggered", first),
    ]


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("cron", DAILY | {"cron": "61 * * * *"}),
        ("cron", DAILY | {"cron": "0 0 31 4 *"}),
        ("timezone", DAILY | {"timezone": "Europe/Nowhere"}),
        ("", DAILY | {"every": 60}),
        ("", {"job": NOOP}),
        ("", {"every": 60, "timezone": "UTC", "job": NOOP}),
        ("", DAILY | {"catch_up": {"runs": "all"}}),
        ("every", {"every": 0, "job": NOOP}),
        ("every", {"every": "5 minutes", "job": NOOP}),
        ("catch_up.within", DAILY | {"catch_up": 9}),
        ("overlap", DAILY | {"overlap": "buffer"}),
        ("jitter", DAILY | {"jitter": "2d"}),
        ("start", DAILY | {"start": "2030-01-01T00:00:00"}),
        ("end", DAILY | {"start": "2031-01-01T00:00:00Z", "end": "2030-01-01T00:00:00Z"}),
        ("max_runs", DAILY | {"max_runs": 0}),
        ("job.function", DAILY | {"job": {"function": "nothing"}}),
        ("job.id", DAILY | {"job": {"function": "noop", "id": "a"}}),
        ("job.delay", DAILY | {"job": {"function": "noop", "delay": 5}}),
        ("job.queue", DAILY | {"job": {"function": "noop", "queue": ".."}}),
        ("job", {"cron": "* * * * *"}),
        ("colour", DAILY | {"colour": "red"}),
    ],
)
def test_what_is_not_valid_is_refused_with_the_field(http: httpx.Client, field: str, body: dict[str, Any]) -> None:
    refused = http.put("/schedules/bad", json=body)
    assert refused.status_code == 422, refused.text
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert http.get("/schedules").json()["schedules"] == []


def test_a_name_that_no_schedule_can_have_is_refused(http: httpx.Client) -> None:
    for name in ("preview", "a.b", "x" * 41):
        assert http.put(f"/schedules/{name}", json=DAILY).json()["errors"][0]["field"] == "name"
    assert http.post("/schedules/preview/trigger").status_code == 404


def test_an_expression_is_previewed_with_what_changes_of_the_clock_do(http: httpx.Client) -> None:
    query = {"cron": "30 2 * * *", "timezone": "America/New_York", "limit": "100"}
    shown = http.get("/schedules/preview", params=query).json()
    assert shown["description"] == "At 02:30 every day (America/New_York)"
    assert len(shown["instants"]) == 100
    # Within a year from any day there is one in spring.
    (moved,) = (change for change in shown["clock_changes"] if "exist" in change["note"])
    assert moved["note"].endswith("it runs at 03:00 instead")
    assert moved["at"][11:] == "03:00:00-04:00"
    assert re.fullmatch(r"20\d\d\.\d+", shown["time_zone_rules"])
    for parameter, value in (("cron", "* * *"), ("timezone", "Mars")):
        refused = http.get("/schedules/preview", params=query | {parameter: value})
        assert (refused.status_code, refused.json()["parameter"]) == (400, parameter)


def test_the_documented_example_works(http: httpx.Client) -> None:
    _, _, section = PAGE.read_text().partition("\n## An example\n")
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    create_command, show_command = (
        shlex.split(command) for command in block[1].replace("\ncurl ", "\0curl ").split("\0")
    )
    created = http.put(httpx.URL(create_command[3]).path, json=json.loads(create_command[-1]))
    assert created.status_code == 201, created.text
    assert http.get(httpx.URL(show_command[1]).path).json()["job"]["queue"] == "reports"


def test_a_key_that_is_bound_to_queues_sees_their_schedules_alone(
    first: ManagerProgram, operator: httpx.Client
) -> None:
    put(operator, "theirs", **DAILY)
    key = create(first, "jobs:write", "jobs:read", queues=["mine-*"])["key"]
    mine = DAILY | {"job": {**NOOP, "queue": "mine-1"}}
    with as_(first, key) as client:
        put(client, "mine", **mine)
        assert [each["name"] for each in client.get("/schedules").json()["schedules"]] == ["mine"]
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/pause"),
            ("POST", "/resume"),
            ("POST", "/trigger"),
        ):
            assert client.request(method, f"/schedules/theirs{path}").status_code == 404
        put(client, "theirs", 403, **mine)
        put(client, "mine", 403, **DAILY)
        assert client.post("/schedules/mine/trigger").status_code == 201
    assert operator.get("/schedules/theirs").json()["job"] == NOOP
    reader = create(first, "jobs:read")["key"]
    with as_(first, reader) as client:
        assert client.get("/schedules/theirs").status_code == 200
        assert client.get("/schedules/preview?cron=@daily").status_code == 200
        put(client, "theirs", 403, **DAILY)


def test_changes_are_noted_with_their_author_and_without_arguments(operator: httpx.Client) -> None:
    job = {"function": "sleep", "kwargs": {"seconds": 1}, "meta": {"token": "not-for-everybody"}}
    put(operator, "noted", every=3600, job=job)
    put(operator, "noted", 200, every=3600, job=job)
    operator.post("/schedules/noted/pause", json={"note": "for now"})
    operator.post("/schedules/noted/resume")
    operator.delete("/schedules/noted")
    text = operator.get("/audit").text
    entries = [entry for entry in json.loads(text)["entries"] if entry["target"] == "noted"]
    assert [entry["action"] for entry in reversed(entries)] == [
        "schedule_saved",
        "schedule_paused",
        "schedule_resumed",
        "schedule_deleted",
    ]
    assert "not-for-everybody" not in text
    assert entries[2]["before"]["paused"] is None
    assert entries[2]["after"]["paused"] == {"by": "env-1", "note": "for now"}
    assert (entries[3]["before"], entries[0]["after"]) == (None, None)
    assert {entry["actor"] for entry in entries} == {"env-1"}
