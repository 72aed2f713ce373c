"""Options of jobs: the client for tests refuses what a manager refuses, in its words, and nothing else."""

import json
from typing import Any, get_type_hints

import pytest

from jobqueue.functions import FunctionRegistry
from manager.http.problems import Problem
from manager.schemas.callback_check import CallbackCheck
from manager.schemas.job_factory import JobFactory
from manager.schemas.submission import Submission
from outgoing.guard import Guard
from workmanager.errors import ClientError
from workmanager.http.submission import JobOptions, job_json
from workmanager.testing import InlineClient

CALLBACKS = CallbackCheck(Guard.from_setting("WORKMANAGER_CALLBACK_ALLOW", ""), may_be_sent=True)
MANAGER = JobFactory(FunctionRegistry.discover(()), 1_000_000, CALLBACKS)
URL = "https://example.com/"
VALUES: list[Any] = [
    *(True, False, -1, 0, 1, 60.0, 1.5, 10**9, 10**20),
    *(
        "",
        "a",
        "a b",
        "a\n",
        "ä",
        ".",
        "..",
        "x" * 65,
        "x" * 300,
        "fifo",
        "job",
        "YQ",
        "YQ==",
        "http:",
        URL,
        "listen:a",
    ),
    *("2030", "2030-01-01T00:00:00", "2030-01-01T00:00:00Z", "2030-13-01T00:00:00Z"),
    *([], ["a"], [3], [""], [None], [{}], {}, {"a": 3}, {"a": "b"}, {"a": None}, {"a b": "b"}, {"a": ""}),
]
OPTIONS: list[dict[str, Any]] = [
    *({"retri": 3}, {"retry": {"max": None}}, {"retry": {"max": 2, "intervals": None}}, {"retry": {"max": 101}}),
    *({"retry": {"max": 1, "intervals": value}} for value in ([-1], 3, [1.5], [1] * 101, [60.0])),
    *({"retry": {"max": 1, "interval": 1}}, {"retry": {"max": "1"}}),
    *({"unique": {"key": key, "within": 1}} for key in ("k", "", "k" * 257, 3, None)),
    *({"unique": {"key": "k", "within": value}} for value in (0, -1, 0.001, "1", None, 10**9)),
    *({"unique": {"key": "k"}}, {"unique": {"key": "k", "within": 1}, "id": "a"}),
    *({"depends_on": [parent]} for parent in ({}, {"id": "a:b"}, {"id": "a", "when": "x"}, {"when": "ended"}, 3)),
    *({"depends_on": ["a", "a"]}, {"depends_on": ["a"], "id": "a"}, {"depends_on": ["a"] * 1001}),
    *({"depends_on": ["a"], "delay": 1}, {"depends_on": [], "delay": 1}, {"delay": 0, "at": "2030-01-01T00:00:00Z"}),
    *({"limits": [{"key": "a", **numbers}]} for numbers in ({}, {"burst": 1}, {"rate": "1/s"}, {"concurrency": -1})),
    *({"limits": [{"key": "a", "rate": rate}]} for rate in ("1/s", "100/1m", "0/s", "x", 3, None)),
    *({"limits": [{"key": "a b", "rate": "1/s"}]}, {"limits": [{"rate": "1/s"}]}),
    *({"limits": [{"key": "a", "rate": "1/s", "burst": value}]} for value in (0, 1, 1.5, None)),
    *({"limits": [{"key": str(n), "concurrency": 1} for n in range(count)]} for count in (1, 8, 9)),
    {"limits": 2 * [{"key": "a", "concurrency": 1}]},
    *({"callback": {"url": url}} for url in (URL, "", None, 3, "x" * 2049, "ftp://a", "listen:a", "listen:a b")),
    *(
        {"callback_url": url}
        for url in ("http://", "http://a:0", "http://a:99999", "http://[", "http://u@a", "http://-a")
    ),
    *(
        {"callback_url": url}
        for url in ("http://a b", "http://[2606:4700::1]:1", "http://[::x]", "HTTP://A", "listen:")
    ),
    *({"callback": {"url": URL, "events": events}} for events in ([], ["x"], ["failed"], None, ["failed"] * 5)),
    *({"callback": {"url": URL, "include": include}} for include in ([], ["result"], ["x"], ["result"] * 2)),
    {"callback": {"url": URL}, "callback_url": URL},
    {"data": b"a", "kwargs": {"data": 1}},
    {"labels": {str(number): "x" for number in range(9)}},
    {"labels": {"a": "x" * 129}},
    *({"meta": {"a": "x" * size}} for size in (64 * 1024 - 8, 64 * 1024 - 7)),
    {"meta": {"a": "ä" * 40_000}},
]


def _problem(job: Any) -> Problem | None:
    try:
        MANAGER.create_job(MANAGER.parse(job_json(job)), "an-id")
    except Problem as problem:
        return problem
    return None


def _check(options: dict[str, Any]) -> bool:
    """Submit a job to both; return whether they refused it."""
    client = InlineClient()
    # The manager's part that is asked here does not look whether parents are there.
    parents = [client.submit("noop", id="a")] if options.get("depends_on") == ["a"] and options.get("id") != "a" else []
    job: Any = {"function": "noop", **options}
    expected = _problem(job)
    if expected is None:
        client.submit(**job)
        return False
    with pytest.raises(ClientError) as caught:
        client.submit(**job)
    error = caught.value
    assert (str(error), error.status) == (f"{expected.detail} (HTTP 422)", 422), options
    assert error.problem["errors"][0] == expected.members["errors"][0]
    assert error.problem["type"] == expected.document()["type"]
    assert [view["id"] for view in client.jobs()] == parents, options
    return True


@pytest.mark.parametrize("name", sorted({*Submission.model_fields, "retri"} - {"function"}))
def test_each_option_takes_the_values_that_a_manager_takes(name: str) -> None:
    assert True in {_check({name: value}) for value in VALUES}


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: json.dumps(options, default=repr)[:80])
def test_options_are_refused_together_or_inside_as_by_a_manager(options: dict[str, Any]) -> None:
    _check(options)


@pytest.mark.parametrize("function", ["", 3, None, "x" * 257])
def test_a_function_has_a_name(function: Any) -> None:
    _check({"function": function})


def test_every_option_of_the_client_is_one_of_the_manager() -> None:
    assert {*get_type_hints(JobOptions), "function"} == {*Submission.model_fields}


def test_a_job_cannot_wait_for_one_that_is_not_there() -> None:
    client = InlineClient()
    with pytest.raises(ClientError, match="depends_on: there is no job with the id 'none' to wait for") as caught:
        client.submit("noop", depends_on=["none"])
    assert caught.value.status == 422
    assert [*client.jobs()] == []
