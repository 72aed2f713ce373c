"""What `doctor` finds, and what it says to do."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import Answer, Request, ScriptedManager
from workmanager.commands.diagnosis import ManagerFacts, SystemFacts, diagnose
from workmanager.local import ports

READY = {"status": "ready", "shards": {"total": 2, "unavailable": 0}, "time_zone_rules": "2030a"}
FINE = ManagerFacts("a", readiness=READY, version="1")
ALL = {"jobs:write": True, "jobs:read": True, "results:pull": True, "admin": True}
STATUS = {"Jobs": 0, "Workers": 1, "problems": []}
SCALER: dict[str, Any] = {"leader": "h:1", "paused": False, "launch_breaker": {}}


def _system(**facts: Any) -> SystemFacts:
    known = {"has_key": True, "client_version": "1", "scopes": ALL, "status": STATUS, "workers": [], "scaler": SCALER}
    return SystemFacts(**(known | facts))


def test_a_sound_system_has_nothing_wrong() -> None:
    findings = list(diagnose([FINE, FINE], _system()))
    assert [finding for finding in findings if finding.is_wrong] == []
    assert [finding.subject for finding in findings] == ["a", "a", "key", "jobs", "scaler"]


@pytest.mark.parametrize(
    ("jobs", "workers", "told"),
    [
        (0, 0, "0 have not ended, 0 workers"),
        (1, 1, "1 has not ended, 1 worker"),
        (1, 0, "1 waits, and there is no worker"),
    ],
)
def test_jobs_and_workers_are_counted_in_words_that_fit(jobs: int, workers: int, told: str) -> None:
    findings = diagnose([FINE], _system(status=STATUS | {"Jobs": jobs, "Workers": workers}))
    (text,) = [finding.text for finding in findings if finding.subject == "jobs"]
    assert text == told


def _ready(**fields: Any) -> ManagerFacts:
    return ManagerFacts("a", readiness=READY | fields, version="1")


@pytest.mark.parametrize(
    ("managers", "system", "text"),
    [
        ([ManagerFacts("a", error="no answer")], None, "a: no answer"),
        ([ManagerFacts("a", error="misdirected", is_refused=True)], None, "a: misdirected"),
        ([ManagerFacts("a", readiness=READY, clock_seconds=-90)], _system(), "its clock is 90 s behind"),
        ([ManagerFacts("a", unready="no shard accepts writes")], _system(), "is not ready: no shard accepts writes"),
        ([_ready(shards={"total": 2, "unavailable": 1})], _system(), "1 of 2 shards"),
        ([_ready(refused_servers={"r:1": "no member"})], _system(), "Redis at r:1 is refused: no member"),
        ([_ready(unsound_files={"r:1": "torn"})], _system(), "append-only file of Redis at r:1: torn"),
        ([_ready(moving_shards={"{rq:1}": 70.0})], _system(), "shard {rq:1} is being moved for 70 s"),
        ([_ready(cluster={"masters_down": 1, "requires_operator": []})], _system(), "masters down: 1"),
        ([_ready(cluster={"requires_operator": ["no majority"]})], _system(), "needs an operator: no majority"),
        ([FINE, ManagerFacts("b", readiness=READY, version="2")], _system(), "the managers differ: 1 at a, 2 at b"),
        ([FINE, _ready(time_zone_rules="2029b")], _system(), "time zone rules: the managers differ"),
        ([FINE], _system(client_version="0"), "this program is 0, the managers are 1"),
        ([FINE], _system(key_error="the key is unknown"), "key: the key is unknown"),
        ([FINE], _system(scopes={}), "key: it may do nothing"),
        ([FINE], _system(status=STATUS | {"problems": ["queue 'q' is paused"]}), "jobs: queue 'q' is paused"),
        ([FINE], _system(status=STATUS | {"Jobs": 3, "Workers": 0}), "3 wait, and there is no worker"),
        ([FINE], _system(workers=[{"name": "w", "seconds_since_heartbeat": 28.0}]), "w has not been heard of for 28 s"),
        ([FINE], _system(workers=[{"name": "w", "problems": ["x is broken"]}]), "w: x is broken"),
        ([FINE], _system(scaler=SCALER | {"paused": True}), "scaler: it is paused"),
        (
            [FINE],
            _system(scaler=SCALER | {"launch_breaker": {"cooldowns": {"a": 1}, "last_failure": "no capacity"}}),
            "launches fail: no capacity",
        ),
    ],
)
def test_what_is_wrong_is_told_with_a_remedy(
    managers: list[ManagerFacts], system: SystemFacts | None, text: str
) -> None:
    (wrong,) = [finding for finding in diagnose(managers, system) if finding.is_wrong]
    assert text in f"{wrong.subject}: {wrong.text}"
    assert wrong.remedy


def test_a_manager_that_is_not_ready_may_have_a_password_that_redis_refuses() -> None:
    wrong = [each for each in diagnose([ManagerFacts("a", unready="invalid password")], None) if each.is_wrong]
    assert ["WORKMANAGER_REDIS_URL" in each.remedy for each in wrong] == [True]


def test_neither_a_worker_nor_a_scaler_is_wrong_before_a_job_waits() -> None:
    idle = {"Jobs": 0, "Workers": 0, "problems": []}
    for leader, told in ((None, ["workers"]), ("h:1", [])):
        system = _system(status=idle, scaler={**SCALER, "leader": leader})
        assert [each.subject for each in diagnose([FINE], system) if each.is_wrong] == told


def test_a_problem_of_a_server_does_not_hide_that_there_is_no_worker() -> None:
    idle = {"Jobs": 0, "Workers": 0, "problems": ["Redis at r:1 can lose jobs: it …"]}
    system = _system(status=idle, scaler={**SCALER, "leader": None})
    assert [each.subject for each in diagnose([FINE], system) if each.is_wrong] == ["jobs", "workers"]


def test_a_key_is_not_blamed_for_what_no_manager_can_answer(run: Run) -> None:
    away = Answer({"detail": "the queue is unavailable at the moment"}, 503)

    def answer(request: Request) -> Answer:
        return Answer({"info": {"version": "0.1.0"}}) if request.path in ("/healthz", "/openapi.json") else away

    with ScriptedManager(routes=answer) as manager:
        code, output, _ = run("doctor", "--url", manager.url, "--key", "secret", "--json")
    assert code == 1
    assert {json.loads(line)["subject"] for line in output.splitlines()} == {manager.url}


def test_a_manager_that_refuses_is_not_to_be_started() -> None:
    (down,) = diagnose([ManagerFacts("a", error="no answer")], None)
    (refusing,) = diagnose([ManagerFacts("a", error="misdirected", is_refused=True)], None)
    assert "start" in down.remedy
    assert "WORKMANAGER_ALLOWED_HOSTS" in refusing.remedy


def _manager(*, scopes: set[str]) -> Callable[[Request], Answer]:
    """A manager whose key has these scopes."""
    needed = {"/openapi.json": "", "/healthz": "", "/readyz": "", "/audit": "admin", "/ackCompleted": "results:pull"}

    def answer(request: Request) -> Answer:
        reads = "jobs:read" if request.method == "GET" else "jobs:write"
        scope = needed.get(request.path, reads)
        if scope and scope not in scopes:
            return Answer({"detail": "the key has not the scope"}, 403)
        if request.method == "POST":
            return Answer({"detail": "a field is missing"}, 422)
        bodies = {"/readyz": READY, "/status": STATUS, "/workers": {"workers": []}, "/scaler": SCALER}
        return Answer(bodies.get(request.path, {"info": {"version": "0.1.0"}}))

    return answer


def test_the_rights_of_a_key_are_found_without_a_change(run: Run) -> None:
    with ScriptedManager(routes=_manager(scopes={"jobs:read", "results:pull"})) as manager:
        code, output, errors = run("doctor", "--url", manager.url, "--key", "secret")
    assert (code, errors) == (0, "")
    assert "ok     key: it may use jobs:read, results:pull, and nothing else" in output.splitlines()
    assert all(request.body == b"{}" for request in manager.requests if request.method == "POST")


def test_a_manager_that_is_down_is_a_finding_and_not_the_end(run: Run) -> None:
    dead = f"http://127.0.0.1:{ports.free_port()}"
    with ScriptedManager(routes=_manager(scopes={*ALL})) as manager:
        code, output, _ = run("doctor", "--url", f"{dead},{manager.url}", "--json")
    findings = [json.loads(line) for line in output.splitlines()]
    assert code == 1
    assert [finding["subject"] for finding in findings if not finding["ok"]] == [dead]
    assert {"key", "jobs", "scaler"} <= {finding["subject"] for finding in findings}


def test_findings_do_not_show_the_password_of_a_url(run: Run) -> None:
    dead = f"http://127.0.0.1:{ports.free_port()}"
    _, output, _ = run("doctor", "--url", dead.replace("http://", "http://user:pass@"))
    assert output.startswith(f"wrong  {dead}: no answer from {dead}: ")


def test_a_missing_key_is_a_finding(run: Run) -> None:
    def answer(request: Request) -> Answer:
        is_open = request.path in ("/healthz", "/readyz")
        return Answer(READY) if is_open else Answer({"detail": "an API key is needed"}, 401)

    with ScriptedManager(routes=answer) as manager:
        code, output, _ = run("doctor", "--url", manager.url)
    assert code == 1
    (wrong,) = [line for line in output.splitlines() if line.startswith("wrong")]
    assert "an API key is needed" in wrong
    assert "WORKMANAGER_API_KEY" in wrong
