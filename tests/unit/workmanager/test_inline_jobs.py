"""Jobs of the client for tests: they end, and are shown, as those of a live system."""

import json
from pathlib import Path
from typing import Any

import pytest

from workmanager import job
from workmanager.errors import ClientError, UsageError
from workmanager.testing import MAX_WAITS, InlineClient

OPENAPI = json.loads((Path(__file__).parents[3] / "openapi.json").read_text())
LIMITS: Any = [{"key": "api", "concurrency": 1}]


class _Service:
    """A function that fails with each of these exceptions, then returns how often it was called."""

    def __init__(self, *failures: BaseException) -> None:
        self.failures = list(failures)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        job.log(f"call {self.calls}")
        job.progress(self.calls)
        if self.failures:
            raise self.failures.pop(0)
        return self.calls


def _names(schema: str) -> set[str]:
    return set(OPENAPI["components"]["schemas"][schema]["properties"])


def test_jobs_and_logs_have_the_fields_that_managers_give_them() -> None:
    client = InlineClient({"call": _Service(OSError("no"))})
    url = "https://example.com/done"
    view = client.job(client.submit("call", retry={"max": 2}, callback={"url": url, "events": ["failed"]}))
    assert set(view) == _names("JobDetails")
    assert set(view["progress"]) == _names("JobProgress")
    assert [set(error) for error in view["attempt_errors"]] == [_names("AttemptError")]
    assert view["callback"] == {"host": "example.com:443", "events": ["failed"], "last_id": None}
    assert set(view["callback"]) == _names("CallbackNote")
    assert [set(listed) for listed in client.jobs()] == [_names("JobResponse")]
    log = client.handle(view["id"]).logs()
    assert set(log) == _names("JobLog")
    assert [set(line) for line in log["lines"]] == 2 * [_names("JobLogLine")]
    failed = client.submit("call", kwargs={"no": "such"})
    waiting = client.job(client.submit("noop", depends_on=[{"id": failed, "when": "finished"}]))
    assert set(waiting["error"]) == _names("JobError")
    assert (waiting["depends_on"], waiting["attempts"], waiting["attempt_errors"]) == ([failed], 0, [])


def test_a_view_tells_of_each_attempt_and_of_the_retries_that_are_left() -> None:
    client = InlineClient({"call": _Service(OSError("one"), SystemExit(2))})
    view = client.job(client.submit("call", retry={"max": 3}))
    assert (view["status"], view["result"], view["error"]) == ("finished", 3, None)
    assert (view["attempts"], view["retries_left"]) == (3, 1)
    assert [error["message"] for error in view["attempt_errors"]] == ["OSError: one", "SystemExit: 2"]
    view["status"] = "changed"
    assert client.job(view["id"])["status"] == "finished"


def test_what_a_function_does_to_its_arguments_is_seen_neither_by_the_next_attempt_nor_in_the_view() -> None:
    def take(numbers: list[int], options: dict[str, list[int]]) -> int:
        taken = numbers.pop() + options["more"].pop()
        if job.id() not in failed:
            failed.add(job.id())
            raise OSError("no")
        return taken

    failed: set[str] = set()
    client = InlineClient({"take": take})
    arguments: Any = {"args": [[1, 2]], "kwargs": {"options": {"more": [3]}}}
    view = client.job(client.submit("take", **arguments, retry={"max": 1}))
    assert (view["status"], view["result"], view["attempts"]) == ("finished", 5, 2)
    assert {name: view[name] for name in arguments} == arguments


def test_a_log_is_read_on_from_a_line() -> None:
    client = InlineClient({"call": _Service(OSError("no"))})
    handle = client.handle(client.submit("call", retry={"max": 1}))
    log = handle.logs()
    assert [(line["text"], line["number"], line["attempt"]) for line in log["lines"]] == [
        ("call 1", 1, 1),
        ("call 2", 2, 2),
    ]
    assert (log["ended"], log["dropped"]) == (True, 0)
    assert [line["text"] for line in handle.logs(after=log["lines"][0]["id"])["lines"]] == ["call 2"]
    assert handle.logs(after=log["after"]) == {**log, "lines": []}


def test_a_job_that_is_rate_limited_runs_again_and_uses_no_retry() -> None:
    service = _Service(job.RateLimited("api", 3), OSError("no"), job.RateLimited("api", 3))
    client = InlineClient({"call": service})
    view = client.job(client.submit("call", limits=LIMITS, retry={"max": 1}))
    assert (view["status"], view["result"], view["attempts"], view["retries_left"]) == ("finished", 4, 4, 0)
    assert [error["message"] for error in view["attempt_errors"]] == ["OSError: no"]


def test_a_rate_limited_job_without_that_limit_or_without_an_end_fails_and_says_so() -> None:
    cases = [("other", 3.0, "no limit with the key 'other'"), ("api", -1.0, "could wait -1 s")]
    for key, seconds, message in cases:
        client = InlineClient({"call": _Service(job.RateLimited(key, seconds))})
        view = client.job(client.submit("call", limits=LIMITS))
        assert (view["status"], view["attempts"]) == ("failed", 1)
        assert message in view["error"]["message"]
    client = InlineClient({"call": _Service(*(job.RateLimited("api", 3) for _ in range(MAX_WAITS + 1)))})
    view = client.job(client.submit("call", limits=LIMITS))
    assert (view["status"], view["attempts"]) == ("failed", MAX_WAITS + 1)
    assert f"{MAX_WAITS} times" in view["error"]["message"]


def test_http_needs_a_fake_and_is_retried_as_in_a_live_system() -> None:
    with pytest.raises(UsageError, match="InlineClient\\(\\{'http': fake\\}\\)"):
        InlineClient().submit("http", kwargs={"url": "http://example.com"})
    client = InlineClient({"http": _Service(OSError("1"), OSError("2"), OSError("3"))})
    assert client.handle(client.submit("http")).result() == 4


def test_what_is_no_function_is_refused() -> None:
    client = InlineClient()
    unique: Any = {"key": "k", "within": 60}
    with pytest.raises(ClientError, match=r"'sys\.maxsize' is no function") as caught:
        client.submit("sys.maxsize", unique=unique)
    assert caught.value.status == 422
    assert client.handle(client.submit("noop", unique=unique)).status() == "finished"


def test_a_number_of_iterations_that_managers_refuse_does_not_run() -> None:
    client = InlineClient()
    given: list[tuple[Any, str]] = [
        ({"iterations": 0}, "iterations: must be an integer from 1 to 1000000000, not '0'"),
        ({"iterations": True}, "iterations: must be an integer"),
        ({"iterations": 1, "timeout_seconds": 0}, "timeout: must be an integer from 1 to 31536000, not '0'"),
        ({"iterations": 1, "job_id": "a b"}, "id: must match"),
    ]
    for options, message in given:
        with pytest.raises(ClientError, match=message) as caught:
            client.enqueue(b"a", **options)
        assert caught.value.status == 400
    assert [*client.jobs()] == []
    view = client.job(client.submit("sha512", data=b"a", kwargs={"iterations": 0}))
    assert (view["status"], view["error"]["message"].partition(",")[0]) == (
        "failed",
        "ValueError: iterations must be an integer from 1 to 1000000000",
    )
