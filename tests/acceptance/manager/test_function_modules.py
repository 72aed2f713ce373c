"""Modules of WORKMANAGER_FUNCTIONS that a manager cannot read, or that change while it runs."""

from pathlib import Path

import httpx
import pytest

from tests.acceptance.manager.conftest import Start, Worker


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `texts` on the managers' import path."""
    directory = tmp_path / "functions"
    directory.mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{directory}:{Path.cwd()}")
    source = directory / "texts.py"
    source.write_text("def call(): ...\n")
    return source


def _problems(http: httpx.Client) -> list[str]:
    """Return what `/status` tells about modules."""
    return [problem for problem in http.get("/status").json()["problems"] if "module" in problem]


def test_a_broken_module_is_told_and_jobs_of_others_are_accepted(start: Start, redis_url: str, module: Path) -> None:
    module.write_text("def call(:\n")
    program = start(redis_url, FUNCTIONS="texts").wait_until_ready()
    assert "event=functions_unreadable module=texts" in program.log
    with program.client() as http:
        refused = http.post("/jobs", json={"function": "texts.call"})
        assert refused.status_code == 422
        assert "texts.py, line 1" in refused.json()["detail"]
        batch = http.post(
            "/jobs/batch",
            content=b'{"function": "texts.call"}\n{"function": "noop"}\n',
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert ["error" in line for line in batch.text.splitlines()] == [True, False]
        assert ["texts.py, line 1" in problem for problem in _problems(http)] == [True]
        assert http.post("/jobs", json={"function": "noop"}).status_code == 201


def test_an_added_function_is_accepted_at_once_if_functions_are_reloaded(
    start: Start, redis_url: str, module: Path
) -> None:
    program = start(redis_url, FUNCTIONS="texts", RELOAD_FUNCTIONS="true").wait_until_ready()
    with program.client() as http:
        assert http.post("/jobs", json={"function": "texts.added"}).status_code == 422
        module.write_text("def added(): ...\n")
        assert http.post("/jobs", json={"function": "texts.added"}).status_code == 201
        assert http.post("/jobs", json={"function": "texts.call"}).status_code == 422
        schemas = http.get("/openapi.json").json()["components"]["schemas"]
        assert "texts.added" in schemas["Submission"]["properties"]["function"]["enum"]
        module.write_text("def added(:\n")
        assert "texts.py, line 1" in http.post("/jobs", json={"function": "texts.added"}).json()["detail"]
        assert len(_problems(http)) == 1
        module.write_text("def added(): ...\n")
        assert _problems(http) == []
        assert http.post("/jobs", json={"function": "texts.added"}).status_code == 201


def test_without_reloading_functions_stay_as_they_were_at_the_start(start: Start, redis_url: str, module: Path) -> None:
    program = start(redis_url, FUNCTIONS="texts").wait_until_ready()
    module.write_text("def added(): ...\n")
    with program.client() as http:
        assert http.post("/jobs", json={"function": "texts.added"}).status_code == 422
        assert http.post("/jobs", json={"function": "texts.call"}).status_code == 201


def test_a_job_shows_its_arguments_unless_the_operator_hides_them(start: Start, redis_url: str) -> None:
    program = start(redis_url, HIDE_ARGUMENTS="http,secret.*").wait_until_ready()
    with program.client() as http:
        job = {"function": "noop", "args": [1, {"a": "x"}], "kwargs": {"b": None}, "timeout": 9, "delay": 60}
        shown = http.get(http.post("/jobs", json=job).headers["Location"]).json()
        assert (shown["args"], shown["kwargs"], shown["arguments_note"]) == ([1, {"a": "x"}], {"b": None}, None)
        assert (shown["timeout"], shown["retries_left"], shown["depends_on"]) == (9, 0, [])
        assert shown["due_at"] > shown["created_at"]
        (listed,) = http.get("/jobs").json()["jobs"]
        assert (listed["args"], listed["due_at"]) == (None, shown["due_at"])
        hidden = {"function": "http", "kwargs": {"url": "http://x", "headers": {"Authorization": "secret"}}}
        answer = http.get(http.post("/jobs", json=hidden).headers["Location"])
        assert "secret" not in answer.text
        assert answer.json()["retries_left"] == 3


def test_the_errors_of_functions_whose_arguments_are_hidden_show_no_values(start: Start, redis_url: str) -> None:
    program = start(redis_url, HIDE_ARGUMENTS="http").wait_until_ready()
    source = '  File "/app/call.py", line 7, in <module>\n    call(key="secret")\n'
    traceback = f"Traceback (most recent call last):\n{source}ValueError: no such key: secret\nsecret: more"
    with program.client() as http:
        retry = {"max": 1}
        hidden = http.post("/jobs", json={"function": "http", "args": ["secret"], "retry": retry}).headers["Location"]
        shown = http.post("/jobs", json={"function": "noop"}).headers["Location"]
        assert Worker(redis_url).fail_all(traceback) == 3
        job = http.get(hidden).json()
        message = "ValueError: hidden by the setting WORKMANAGER_HIDE_ARGUMENTS"
        error = {"reason": "exception", "message": message}
        error["traceback"] = f'  File "/app/call.py", line 7, in <module>\n{message}'
        assert job["error"] == error
        assert [{name: attempt[name] for name in error} for attempt in job["attempt_errors"]] == [error, error]
        listed = {job["function"]: job["error"] for job in http.get("/jobs?status=failed").json()["jobs"]}
        assert listed["http"] == error
        assert listed["noop"]["message"] == "ValueError: no such key: secret\nsecret: more"
        assert http.get(shown).json()["error"] == listed["noop"]


def test_a_result_of_none_has_no_note(start: Start, redis_url: str) -> None:
    program = start(redis_url).wait_until_ready()
    with program.client() as http:
        location = http.post("/jobs", json={"function": "noop"}).headers["Location"]
        Worker(redis_url).finish_all(None)
        shown = http.get(location).json()
        assert (shown["status"], shown["result"], shown["result_note"]) == ("finished", None, None)
        assert shown["function_version"] is None
