"""Which reports and queries an agent believes."""

import base64
import json
import math
from typing import Any

import msgpack  # type: ignore[import-untyped]  # It has no types.
import pytest

from jobqueue.functions import FunctionRegistry
from jobqueue.model import MAX_RESULT_BYTES
from tests.unit.worker_node.claimed_job import claimed_job
from worker_node.ipc.protocol import (
    MAX_META_BYTES,
    MAX_RETRY_INTERVALS,
    MAX_RETRY_NUMBER,
    MAX_TEXT_CHARS,
    Query,
    TaskOutcome,
    TaskReport,
)
from worker_node.slots.reports import ProtocolError, ReportChecker, read_query, read_report

MODULE = "tests.unit.worker_node.operator_module"
FUNCTION = f"{MODULE}.greet"
GOOD: dict[str, Any] = {
    "sequence": 1,
    "outcome": 0,
    "function": "noop",
    "seconds": 0.5,
    "body": b"bnVsbA==",
    "detail": None,
    "version": "0123456789ab",
    "output": None,
}


def _payload(**changes: Any) -> bytes:
    packed: bytes = msgpack.packb(list((GOOD | changes).values()))
    return packed


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"version": ""},
        {"seconds": 0.0},
        {"body": base64.b64encode(b"x" * MAX_RESULT_BYTES)},
        {"outcome": 1, "body": "trace", "detail": False},
        {"outcome": 1, "body": "x" * MAX_TEXT_CHARS, "detail": True},
        {"outcome": 2, "body": "why", "function": ""},
        {"outcome": 3, "detail": [MAX_RETRY_NUMBER, [0, 1] * (MAX_RETRY_INTERVALS // 2), True]},
        {"outcome": 4, "body": b"", "function": "", "version": ""},
        {"outcome": 5, "body": "died"},
        {"output": [0, 5, 1 << 40, (1 << 40) + 1]},
    ],
)
def test_what_an_executor_sends_is_read(report: dict[str, Any]) -> None:
    fields = GOOD | report
    assert read_report(_payload(**report)) == TaskReport(**(fields | {"outcome": TaskOutcome(fields["outcome"])}))


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": "1"},
        {"sequence": 1.0},
        {"sequence": True},
        {"outcome": 6},
        {"outcome": -1},
        {"outcome": True},
        {"outcome": []},
        {"output": [0, 5, 0]},
        {"output": [0, 5, 0, -1]},
        {"output": [0, 5, 0, 1.0]},
        {"output": "0505"},
        {"function": b"noop"},
        {"function": None},
        {"function": "x" * 5000},
        {"seconds": 1},
        {"seconds": "1"},
        {"body": None},
        {"body": "bnVsbA=="},
        {"body": b"no base64!"},
        {"body": b"bnVsbA="},
        {"body": b"bnVs\nbA=="},
        {"body": base64.b64encode(b"x" * (MAX_RESULT_BYTES + 1))},
        {"detail": 0},
        {"version": "g"},
        {"version": "0" * 65},
        {"version": b""},
        {"outcome": 1, "body": b"trace", "detail": False},
        {"outcome": 1, "body": "trace", "detail": None},
        {"outcome": 1, "body": "x" * (MAX_TEXT_CHARS + 1), "detail": False},
        {"outcome": 2, "body": "why", "detail": True},
        {"outcome": 3},
        {"outcome": 3, "detail": [1, [], True], "body": "no bytes"},
        {"outcome": 3, "detail": [1, []]},
        {"outcome": 3, "detail": [-1, [], True]},
        {"outcome": 3, "detail": [1, [MAX_RETRY_NUMBER + 1], True]},
        {"outcome": 3, "detail": [1, [1.5], True]},
        {"outcome": 3, "detail": [1, [], 1]},
        {"outcome": 3, "detail": [1, [1] * (MAX_RETRY_INTERVALS + 1), True]},
        {"outcome": 4, "body": b"x"},
    ],
)
def test_what_an_executor_never_sends_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        read_report(_payload(**changes))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xa2\xff\xff",
        msgpack.packb({"sequence": 1}),
        msgpack.packb([]),
        _payload() + b"\0",
        _payload()[:-1],
        msgpack.packb([[1, 0, "noop", 0.5, b"bnVsbA==", None, ""]]),
    ],
)
def test_bytes_that_are_no_report_are_refused(payload: bytes) -> None:
    for read in (read_report, read_query):
        with pytest.raises(ProtocolError):
            read(payload)


def _report(**changes: Any) -> TaskReport:
    return read_report(_payload(**changes))


@pytest.fixture
def checker() -> ReportChecker:
    return ReportChecker(FunctionRegistry.load([MODULE]))


def _data(path: str) -> bytes:
    return json.dumps([path, None, [], {}]).encode()


NOOP = claimed_job(data=_data("worker_node.functions.noop"))


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -0.001, 2.001, 1e308])
def test_a_run_time_that_is_impossible_is_refused(checker: ReportChecker, seconds: float) -> None:
    with pytest.raises(ProtocolError, match="run time"):
        checker.check(_report(seconds=seconds), NOOP, most_seconds=2.0)


def test_the_function_must_be_the_one_that_the_job_asks_for(checker: ReportChecker) -> None:
    mine = claimed_job(data=_data(FUNCTION))
    for _ in range(2):  # The second time, from memory.
        checker.check(_report(), NOOP, 1.0)
        checker.check(_report(function=FUNCTION), mine, 1.0)
        for function, job in (("noop", mine), (FUNCTION, NOOP), ("sha512", NOOP), ("made up", NOOP)):
            with pytest.raises(ProtocolError, match="the function"):
                checker.check(_report(function=function), job, 1.0)


@pytest.mark.parametrize(
    ("data", "function"),
    [
        (b'[ "worker_node.functions.noop" , null, [], {}]', "noop"),
        (_data("os.remove"), "os.remove"),
        (_data("x" * 300), "x" * 200),
        (_data("os.\ud800"), "os.\\ud800"),
        (b"no call", ""),
        (b"\x80\x04pickled", "some.method"),
    ],
    ids=["with spaces", "not registered", "long", "surrogate", "unreadable", "pickled"],
)
def test_names_of_odd_calls_are_taken_as_executors_give_them(
    checker: ReportChecker, data: bytes, function: str
) -> None:
    rejected = _report(outcome=2, body="why", function=function)
    checker.check(rejected, claimed_job(data=data), 1.0)


def test_for_a_dead_executor_the_agent_names_the_function_itself(checker: ReportChecker) -> None:
    assert checker.function_of(NOOP, "forged") == "noop"
    assert checker.function_of(claimed_job(data=_data("x" * 300)), "forged") == "x" * 200
    assert checker.function_of(claimed_job(data=b"\x80\x04pickled"), "some.method") == "some.method"


def test_queries_are_read() -> None:
    query = Query(number=3, sequence=1, operation="hset", field="meta", value=b"x" * MAX_META_BYTES)
    assert read_query(msgpack.packb(query)) == query


@pytest.mark.parametrize(
    "fields",
    [
        [1, 1, "hget", "meta"],
        [1, 1, "hdel", "meta", b""],
        [1, 1, b"hget", "meta", b""],
        [1, 1, "hget", b"meta", b""],
        [1, 1, "hget", "meta", ""],
        [1, 1, "hget", "x" * 201, b""],
        [1, 1, "hset", "meta", b"x" * (MAX_META_BYTES + 1)],
        [-1, 1, "hget", "meta", b""],
        [1 << 63, 1, "hget", "meta", b""],
        [True, 1, "hget", "meta", b""],
        [1, 1.0, "hget", "meta", b""],
    ],
)
def test_what_no_job_can_ask_is_refused(fields: list[Any]) -> None:
    with pytest.raises(ProtocolError):
        read_query(msgpack.packb(fields))
