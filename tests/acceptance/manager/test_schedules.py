"""Schedules over HTTP: created, shown, changed, paused, triggered and refused; and their runs, which RQ's tools see."""

import json
import re
import shlex
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from rq.cron import get_cron_job_ids
from rq.cron_job_registry import get_names

from tests.acceptance.manager.conftest import Start, Worker
from tests.acceptance.manager.keyed_managers import as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.unit.workmanager.commands.conftest import Run
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

PAGE = Path(__file__).parents[3] / "docs/schedules.md"
NOOP = {"function": "noop"}
DAILY: dict[str, Any] = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "job": NOOP}


class Schedule:
    """Runs `workmanager schedule` in this process, against a manager."""

    def __init__(self, run: Run, manager: ManagerProgram) -> None:
        self._run = run
        self._url = manager.url

    def __call__(self, *arguments: str) -> tuple[int, list[Any], str]:
        """Return exit code, lines of JSON, and what it printed as errors."""
        code, output, errors = self._run("schedule", *arguments, "--json", "--url", self._url)
        return code, [json.loads(line) for line in output.splitlines()], errors


@pytest.fixture
def schedule(manager: ManagerProgram, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Schedule:
    return Schedule(Run(monkeypatch, capsys), manager)


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
    created.pop("warning", None)
    assert created["catch_up"] == {"within": 900, "runs": "latest"}
    same = put(http, "nightly", 200, **DAILY, overlap="queue", catch_up=900, jitter="1m", max_runs=3)
    assert {**same, "warning": None} == {**created, "outcome": "same", "warning": None}
    shown = http.get("/schedules/nightly").json()
    assert {name: shown[name] for name in created} == created
    assert len(shown["upcoming"]) == 3
    assert [change["note"][:5] for change in shown["clock_changes"]] == ["02:30", "02:30"]
    assert (shown["history"], shown["active"]) == ([], [])
    changed = put(http, "nightly", 200, every="90s", job=NOOP)
    assert changed["description"] == "Every 90 seconds"
    assert _time(changed["created_at"]) == _time(created["created_at"])
    until(lambda: "no worker" in put(http, "nightly", 200, every="90s", job=NOOP).get("warning", ""))
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
        ("", {"every": 60, "timezone": "Europe/Berlin", "job": NOOP}),
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
    assert http.get("/readyz").json()["time_zone_rules"] == shown["time_zone_rules"]
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


def test_killed_managers_neither_lose_nor_double_an_instant(start: Start, private_server: ValkeyServer) -> None:
    """Two managers run five schedules for every second; one is killed, then both, and others are started."""
    names = [f"s{number}" for number in range(5)]
    one, other = (start(private_server.url) for _ in range(2))
    with one.wait_until_ready().client() as http:
        for name in names:
            put(http, name, every=1, overlap="allow", catch_up={"within": "1h", "runs": "all"}, job=NOOP)
    other.wait_until_ready()
    redis = Redis.from_url(private_server.url, decode_responses=True)

    def instants() -> dict[str, list[datetime]]:
        """Those that were run, by schedule: each queued job is one."""
        found: dict[str, list[datetime]] = {name: [] for name in names}
        for job_id in map(str, redis.lrange("rq:queue:default", 0, -1)):
            name, _, text = job_id.partition("-")
            found[name].append(datetime.strptime(text, "%Y%m%dT%H%M%SZ"))
        return found

    def wait_for(seconds: int) -> None:
        reached = max(instants()["s0"]) + timedelta(seconds=seconds)
        until(lambda: all(run and max(run) >= reached for run in instants().values()))

    until(lambda: all(instants().values()))
    one.kill()
    wait_for(2)
    other.kill()
    killed = instants()
    start(private_server.url)
    wait_for(2)
    for name, runs in instants().items():
        assert runs == [runs[0] + timedelta(seconds=number) for number in range(len(runs))]
        assert runs[: len(killed[name])] == killed[name]


def test_a_file_is_applied_as_a_whole(http: httpx.Client, schedule: Schedule, tmp_path: Path) -> None:
    file = tmp_path / "schedules.yaml"
    block = re.search(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    file.write_text(block[1])
    put(http, "old", **DAILY)
    put(http, "cleanup", every=900, overlap="queue", job=NOOP)
    plan = [{"name": "nightly", "outcome": "created"}, {"name": "cleanup", "outcome": "same"}]
    plan.append({"name": "old", "outcome": "deleted"})
    assert schedule("apply", str(file), "--dry-run") == (0, plan, "")
    assert _names(http) == ["cleanup", "old"]
    assert schedule("apply", str(file), "--yes") == (0, plan, "")
    assert _names(http) == ["cleanup", "nightly"]
    assert http.get("/schedules/nightly").json()["catch_up"]["within"] == 6 * 3600
    # One that is refused keeps the others from being changed.
    file.write_text(block[1].replace("6h", "7h").replace("every: 15m", "every: 0"))
    code, printed, errors = schedule("apply", str(file))
    assert (code, printed) == (1, [])
    assert errors.startswith("workmanager: cleanup: every: ")
    assert http.get("/schedules/nightly").json()["catch_up"]["within"] == 6 * 3600
    file.write_text('{"schedules": {}}')
    assert schedule("apply", str(file), "--yes")[0] == 0
    assert _names(http) == []


def test_schedules_are_managed_on_the_command_line(http: httpx.Client, schedule: Schedule) -> None:
    options = ("--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--function", "noop", "--queue", "reports")
    code, (saved,), _ = schedule("put", "nightly", *options, "--catch-up", "2h", "--no-feed")
    assert (code, saved["outcome"], saved["catch_up"]) == (0, "created", {"within": 7200, "runs": "latest"})
    assert saved["job"] == {"function": "noop", "queue": "reports", "feed": False}
    assert schedule("pause", "nightly", "--note", "later")[1][0]["paused"]["note"] == "later"
    assert [each["name"] for each in schedule("list")[1]] == ["nightly"]
    (triggered,) = schedule("trigger", "nightly")[1]
    assert http.get(f"/jobs/{triggered['id']}").json()["queue"] == "reports"
    assert schedule("show", "nightly")[1][0]["active"] == [triggered["id"]]
    assert schedule("resume", "nightly")[1][0]["next"] is not None
    assert schedule("delete", "nightly", "--yes") == (0, [{"name": "nightly", "deleted": True}], "")
    assert _names(http) == []


def test_the_documented_client_calls_work(http: httpx.Client, manager: ManagerProgram) -> None:
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    code = block[1].replace("http://127.0.0.1:5000", manager.url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert datetime.fromisoformat(done.stdout.strip()).hour % 6 == 0


def _names(http: httpx.Client) -> list[str]:
    return [each["name"] for each in http.get("/schedules").json()["schedules"]]


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
