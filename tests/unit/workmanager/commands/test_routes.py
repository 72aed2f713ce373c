"""Every route has its verb: it sends the request of that route, and prints what comes back."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import Answer, Request, ScriptedManager

OPENAPI: Mapping[str, Any] = json.loads((Path(__file__).parents[4] / "openapi.json").read_text())
ROUTES = sorted((method.upper(), path) for path, methods in OPENAPI["paths"].items() for method in methods)
INPUT = "INPUT"
"""Stands for a file that the test writes."""
VERBS: Mapping[tuple[str, str], str] = {
    ("PUT", "/enqueue"): f"submit {INPUT}",
    ("POST", "/jobs"): "submit --function noop",
    ("POST", "/jobs/batch"): f"submit --batch {INPUT}",
    ("POST", "/jobs/wait"): "wait x",
    ("GET", "/jobs"): "jobs",
    ("GET", "/jobs/{job_id}"): "job x",
    ("DELETE", "/jobs/{job_id}"): "delete x --yes",
    ("GET", "/jobs/{job_id}/explain"): "explain x",
    ("GET", "/jobs/{job_id}/logs"): "logs x",
    ("GET", "/jobs/{job_id}/events"): "events x",
    ("GET", "/events"): "events --count 1",
    ("POST", "/jobs/{job_id}/cancel"): "cancel x",
    ("POST", "/jobs/{job_id}/requeue"): "requeue x",
    ("POST", "/pullCompleted"): "pull",
    ("POST", "/ackCompleted"): "ack x",
    ("POST", "/operations"): "operations start requeue --queue x",
    ("GET", "/operations"): "operations list",
    ("GET", "/operations/{operation_id}"): "operations show x",
    ("POST", "/operations/{operation_id}/cancel"): "operations cancel x",
    ("POST", "/workflows"): f"workflow submit {INPUT}",
    ("GET", "/workflows/{workflow_id}"): "workflow show x",
    ("POST", "/workflows/{workflow_id}/cancel"): "workflow cancel x",
    ("POST", "/workflows/{workflow_id}/retry"): "workflow retry x",
    ("GET", "/limits"): "limits list",
    ("GET", "/limits/{key}"): "limits show x",
    ("PUT", "/limits/{key}"): "limits set x --concurrency 1",
    ("DELETE", "/limits/{key}"): "limits delete x",
    ("GET", "/queues"): "queues",
    ("POST", "/queues/{name}/pause"): "queues pause x",
    ("POST", "/queues/{name}/resume"): "queues resume x",
    ("POST", "/queues/{name}/requeue-failed"): "requeue --queue x --failed",
    ("GET", "/callbacks"): "callbacks list",
    ("GET", "/callbacks/{callback_id}"): "callbacks show x",
    ("POST", "/callbacks/{callback_id}/retry"): "callbacks retry x",
    ("POST", "/callbacks/replay"): "callbacks replay",
    ("POST", "/callbacks/listen"): "listen --count 1",
    ("POST", "/callbacks/listen/ack"): "listen --count 1",
    ("GET", "/schedules"): "schedule list",
    ("GET", "/schedules/preview"): "schedule preview @daily",
    ("GET", "/schedules/{name}"): "schedule show x",
    ("PUT", "/schedules/{name}"): "schedule put x --every 1h --function noop",
    ("DELETE", "/schedules/{name}"): "schedule delete x --yes",
    ("POST", "/schedules/{name}/pause"): "schedule pause x",
    ("POST", "/schedules/{name}/resume"): "schedule resume x",
    ("POST", "/schedules/{name}/trigger"): "schedule trigger x",
    ("GET", "/status"): "status",
    ("GET", "/workers"): "workers",
    ("POST", "/workers/{name}/drain"): "workers drain x",
    ("GET", "/scaler"): "scaler",
    ("POST", "/scaler/pause"): "scaler pause",
    ("POST", "/scaler/resume"): "scaler resume",
    ("PUT", "/scaler/limits"): "scaler limits --max 1",
    ("GET", "/audit"): "audit",
    ("GET", "/keys"): "keys list",
    ("POST", "/keys"): "keys create --scope admin",
    ("POST", "/keys/{key_id}/roll"): "keys roll x",
    ("PUT", "/keys/{key_id}/limits"): "keys limit x --waiting-jobs 1",
    ("DELETE", "/keys/{key_id}"): "keys revoke x --yes",
    ("GET", "/metrics"): "metrics",
}
NO_VERB: Mapping[tuple[str, str], str] = {
    ("GET", "/healthz"): "`doctor` asks it among others",
    ("GET", "/readyz"): "`doctor` asks it among others",
}
"""Routes that no command is for, with the reason."""
MAX_MODULES = 290
"""That a command has imported when it ends, of which httpx and what it needs are two thirds."""
COUNT_MODULES = """
import json, os, sys

from workmanager.__main__ import main

SLOW = {"asyncio", "click", "pydantic", "pygments", "redis", "rich", "yaml"}
output = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for number, command in enumerate(json.loads(sys.argv[1])):
    # The first one imports in this process what all need; each other one is counted in a fork.
    if number and (child := os.fork()):
        os.waitpid(child, 0)
        continue
    sys.argv = ["workmanager", *command]
    code = main()
    os.write(output, (json.dumps([code, len(sys.modules), sorted(SLOW & {*sys.modules})]) + "\\n").encode())
    if number:
        os._exit(0)
"""
ANSWERS: Mapping[tuple[str, str], Any] = {
    ("GET", "/metrics"): "up 1\n",
    ("GET", "/jobs/{job_id}/events"): 'event: end\ndata: {"id": "x", "status": "finished"}\n\n',
    ("GET", "/events"): 'event: snapshot\nid: 1-0\ndata: {"queues": {}, "shards_missing": 0}\n\n',
    ("GET", "/jobs/{job_id}/logs"): {"lines": [], "after": None, "dropped": 0, "ended": True},
    ("POST", "/jobs/batch"): '{"id": "x"}\n',
    ("POST", "/jobs/wait"): {"done": True, "statuses": {"x": "finished"}},
    ("POST", "/callbacks/listen"): {"callbacks": [{"receipt": "x", "headers": {"webhook-id": "x"}, "body": "{}"}]},
}
"""Those that are no JSON, or that lead to further requests."""
LISTS = ("/jobs", "/queues", "/workers", "/limits", "/callbacks", "/schedules", "/operations", "/audit", "/keys")


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_route_has_a_verb(route: tuple[str, str]) -> None:
    assert route in VERBS or route in NO_VERB, f"{route}: add a command, or say in NO_VERB why there is none"


def test_a_verb_imports_little_before_its_request(tmp_path: Path) -> None:
    """Most of what a command costs is what it imports: by this count, it starts within 80 ms."""
    verbs = [("GET", "/status"), *VERBS]
    with ScriptedManager(routes=_answer) as manager:
        commands = [[*_arguments(route, _input(tmp_path, route)), "--url", manager.url] for route in verbs]
        program = [sys.executable, "-c", COUNT_MODULES, json.dumps(commands)]
        counted = subprocess.run(program, stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout
    lines = [json.loads(line) for line in counted.splitlines()]
    assert len(lines) == len(verbs)
    for route, (code, modules, slow) in zip(verbs, lines, strict=True):
        assert (code, slow) == (0, []), route
        assert modules <= MAX_MODULES, route


def test_no_verb_is_for_a_route_that_is_gone() -> None:
    assert {*VERBS, *NO_VERB} == {*ROUTES}


@pytest.mark.parametrize("route", VERBS, ids=" ".join)
def test_a_verb_asks_for_its_route_and_prints_the_answer(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, route: tuple[str, str]
) -> None:
    _run(run, monkeypatch, tmp_path, route)
    for line in _run(run, monkeypatch, tmp_path, route, "--json"):
        json.loads(line)


@pytest.mark.parametrize("path", LISTS)
def test_a_list_can_be_cut_down_to_fields_or_names(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str
) -> None:
    route = ("GET", path)
    (line,) = _run(run, monkeypatch, tmp_path, route, "--json")
    row = json.loads(line)
    name = next(name for name in ("id", "name", "key") if name in row)
    assert _run(run, monkeypatch, tmp_path, route, "-q") == [row[name]]
    assert _run(run, monkeypatch, tmp_path, route, "--fields", name) == [name.upper(), row[name]]
    (line,) = _run(run, monkeypatch, tmp_path, route, "--json", "--fields", f"{name}, {name}.inner")
    assert json.loads(line) == {name: row[name], f"{name}.inner": None}


@pytest.mark.parametrize("route", [("POST", "/keys"), ("POST", "/keys/{key_id}/roll")], ids=" ".join)
def test_a_script_is_given_a_new_key_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, route: tuple[str, str]
) -> None:
    (line,) = _run(run, monkeypatch, tmp_path, route, "--json")
    assert _run(run, monkeypatch, tmp_path, route, "-q") == [json.loads(line)["key"]]


def _run(run: Run, monkeypatch: pytest.MonkeyPatch, path: Path, route: tuple[str, str], *options: str) -> list[str]:
    """Run the verb of a route against a manager that answers by the OpenAPI document; return the lines it prints."""
    file = _input(path, route)
    with ScriptedManager(routes=_answer) as manager:
        code, output, errors = run(*_arguments(route, file), *options, "--url", manager.url)
    assert route in {_route(request.method, request.path) for request in manager.requests}
    told = [line for line in errors.splitlines() if not line.startswith("listening: ")]
    assert (code, told) == (0, [])
    return output.splitlines()


def _input(directory: Path, route: tuple[str, str]) -> Path:
    file = directory / ("workflow" if route == ("POST", "/workflows") else "jobs")
    file.write_text('{"jobs": {}}' if file.name == "workflow" else '{"function": "noop"}')
    return file


def _arguments(route: tuple[str, str], file: Path) -> list[str]:
    return [str(file) if each == INPUT else each for each in VERBS[route].split()]


def _route(method: str, path: str) -> tuple[str, str]:
    """The route of a request: of those that match, the one with the fewest placeholders."""
    matching = [
        route
        for route in ROUTES
        if route[0] == method and re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route[1])), path)
    ]
    return min(matching, key=lambda route: route[1].count("{"))


def _answer(request: Request) -> Answer:
    route = _route(request.method, request.path)
    if route in ANSWERS:
        return Answer(ANSWERS[route])
    method, path = route
    responses = OPENAPI["paths"][path][method.lower()]["responses"]
    status = next(status for status in responses if status.startswith("2"))
    content = responses[status].get("content", {}).get("application/json", {})
    body = _example(content["schema"]) if "schema" in content else ""
    if isinstance(body, dict):
        plain = {"cursor": None, "status": "finished", "unreadable": [], "shards_unavailable": 0, "key": "secret"}
        body |= {name: value for name, value in plain.items() if name in body}
    return Answer(body, int(status))


def _example(schema: Mapping[str, Any]) -> Any:
    """Return a value of a schema, with every field."""
    if "$ref" in schema:
        return _example(OPENAPI["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return _example(schema["anyOf"][0])
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            fields = {name: _example(field) for name, field in schema.get("properties", {}).items()}
            inner = schema.get("additionalProperties")
            return fields | ({"x": _example(inner)} if isinstance(inner, dict) else {})
        case "array":
            return [_example(schema["items"])]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case "null":
            return None
    return "x"
