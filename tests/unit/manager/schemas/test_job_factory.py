"""Validation of submissions, and the job records made of them."""

import json
from typing import Any

import pytest

from jobqueue.functions import FunctionRegistry
from jobqueue.model import NewJob
from manager.http.problems import Problem
from manager.schemas.callback_check import CallbackCheck
from manager.schemas.job_factory import JobFactory, sha512_job
from manager.schemas.json_types import parse_instant
from outgoing.guard import Guard

CALLBACKS = CallbackCheck(Guard.from_setting("WORKMANAGER_CALLBACK_ALLOW", ""), may_be_sent=True)
FACTORY = JobFactory(FunctionRegistry.discover(()), 9, CALLBACKS)


def job(**fields: Any) -> NewJob:
    return FACTORY.create_job(FACTORY.parse(json.dumps({"function": "noop", **fields}).encode()), "an-id")


def rejection(raw: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        FACTORY.create_job(FACTORY.parse(raw), "an-id")
    return caught.value


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"function": "os.system"}, "function"),
        ({"function": None}, "function"),
        ({"args": {}}, "args"),
        ({"kwargs": []}, "kwargs"),
        ({"data": "no base64!"}, "data"),
        ({"data": "YQ"}, "data"),
        ({"queue": "a b"}, "queue"),
        ({"queue": "a\n"}, "queue"),
        ({"queue": "x" * 65}, "queue"),
        ({"order": "random"}, "order"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": "60"}, "timeout"),
        ({"timeout": 60.5}, "timeout"),
        ({"retry": {"max": 101}}, "retry.max"),
        ({"retry": {"intervals": [1]}}, "retry.max"),
        ({"retry": {"max": 1, "intervals": [-1]}}, "retry.intervals.0"),
        ({"unique": {"key": "", "within": 1}}, "unique.key"),
        ({"unique": {"key": "k", "within": 0}}, "unique.within"),
        ({"unique": {"key": "k"}}, "unique.within"),
        ({"delay": -1}, "delay"),
        ({"at": "2030-01-01T00:00:00"}, "at"),
        ({"at": "tomorrow"}, "at"),
        ({"at": 1893456000}, "at"),
        ({"result_ttl": -1}, "result_ttl"),
        ({"feed": 1}, "feed"),
        ({"isolation": "thread"}, "isolation"),
        ({"isolation": True}, "isolation"),
        ({"meta": []}, "meta"),
        ({"meta": {"k": "x" * 65536}}, "meta"),
        ({"id": "a/b"}, "id"),
        ({"id": "x" * 65}, "id"),
        ({"callback_url": "http://localhost/"}, "callback_url"),
        ({"colour": "red"}, "colour"),
        ({"queue": "."}, "queue"),
        ({"queue": ".."}, "queue"),
        ({"queue": "a/b"}, "queue"),
    ],
)
def test_an_invalid_field_is_named(fields: dict[str, Any], field: str) -> None:
    problem = rejection(json.dumps({"function": "noop", **fields}).encode())
    assert problem.status == 422
    assert problem.members["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'\n[{"function": "noop"}]', "POST /jobs/batch"),
        (b'{"function": "noop", "colour": "red"}', "colour: there is no such field"),
    ],
)
def test_what_is_no_job_is_told_in_plain_words(body: bytes, told: str) -> None:
    assert told in str(rejection(body).detail)


def test_whoever_calls_a_function_of_an_unregistered_module_is_told_where_to_name_it() -> None:
    remedy = "name its module in WORKMANAGER_FUNCTIONS of managers and workers"
    assert remedy in str(rejection(b'{"function": "texts.most_common"}').detail)
    assert remedy not in str(rejection(b'{"function": "nop"}').detail)


@pytest.mark.parametrize("name", [".", ".."])
def test_a_queue_that_no_url_can_name_is_refused_with_the_reason(name: str) -> None:
    problem = rejection(json.dumps({"function": "noop", "queue": name}).encode())
    assert "clients take these out of URLs" in problem.detail
    assert job(queue=name * 3).queue == name * 3


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "a", "unique": {"key": "k", "within": 1}},
        {"delay": 1, "at": "2030-01-01T00:00:00Z"},
        {"data": "YQ==", "kwargs": {"data": "YQ=="}},
    ],
)
def test_fields_that_exclude_each_other_are_rejected(fields: dict[str, Any]) -> None:
    problem = rejection(json.dumps({"function": "noop", **fields}).encode())
    assert problem.status == 422
    assert "exclude each other" in problem.detail


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"function":"noop"} x', 400),
        (b'{"function":"\xff"}', 400),
        (b'{"function":"noop","args":["\\ud800"]}', 400),
        (b'{"function":"noop","args":' + b"[" * 300 + b"]" * 300 + b"}", 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"function":"noop","args":[NaN]}', 422),
        (b'{"function":"noop","kwargs":{"a":{"b":-Infinity}}}', 422),
        (b'{"function":"noop","meta":{"a":1e999}}', 422),
        (b'{"function":"noop","args":[123456789012345678901234567890, 1e999]}', 422),
        (b'{"function":"noop","data":"' + b"A" * 16 + b'"}', 413),
    ],
)
def test_invalid_submissions_are_rejected(raw: bytes, status: int) -> None:
    assert rejection(raw).status == status


def test_a_payload_of_exactly_the_limit_is_accepted() -> None:
    assert json.loads(job(data="AAAAAAAAAAAA").data)[3] == {"data": "AAAAAAAAAAAA"}


def test_defaults() -> None:
    made = job()
    assert json.loads(made.data) == ["worker_node.functions.noop", None, [], {}]
    assert (made.queue, made.timeout_seconds, made.feed, made.at_front) == ("default", 3600, True, False)
    assert (made.result_ttl_seconds, made.retries, made.due_at, made.meta) == (7 * 24 * 3600, 0, None, None)


def test_fields_become_the_record() -> None:
    made = job(
        args=[1, None, 10**30],
        kwargs={"b": 1, "a": [2.5]},
        queue="high",
        order="lifo",
        timeout=60.0,
        retry={"max": 3, "intervals": [1, 5]},
        unique={"key": "k", "within": 1.5},
        at="2030-01-01T01:00:00.5+01:00",
        result_ttl=0,
        feed=False,
        isolation="job",
        meta={"b": 1, "a": None},
    )
    assert made.data == (
        b'["worker_node.functions.noop",null,[1,null,1000000000000000000000000000000],{"a":[2.5],"b":1}]'
    )
    assert (made.queue, made.at_front, made.timeout_seconds) == ("high", True, 60)
    assert (made.retries, made.retry_intervals) == (3, (1, 5, 5))
    assert (made.unique_key, made.unique_milliseconds) == ("k", 1500)
    assert made.due_at == parse_instant("2030-01-01T00:00:00.5Z")
    assert (made.result_ttl_seconds, made.feed, made.meta) == (0, False, b'{"a":null,"b":1}')
    assert made.isolation == "job"


def test_http_jobs_are_retried_by_default() -> None:
    assert job(function="http").retries == 3
    assert job(function="http", retry={"max": 0}).retries == 0


def test_an_instant_before_the_epoch_is_due_at_once() -> None:
    assert job(at="0001-01-01T00:00:00+14:00").due_at == 0.0


def test_enqueue_makes_the_same_record_as_a_submission() -> None:
    factory = JobFactory(FunctionRegistry.discover(()), 1000, CALLBACKS)
    submission = factory.parse(b'{"kwargs":{"iterations":7},"data":"aGVsbG8=","function":"sha512","timeout":60}')
    job = sha512_job("worker_node.functions.sha512", "an-id", b"hello", iterations=7, timeout_seconds=60)
    assert job == factory.create_job(submission, "an-id")
