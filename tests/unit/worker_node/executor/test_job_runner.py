"""Which calls are decoded while another job runs."""

import json

import pytest

from jobqueue.functions import FunctionRegistry
from worker_node.executor.calls import CallDecoder
from worker_node.executor.job_runner import MAX_BYTES_AHEAD, JobRunner
from worker_node.ipc.protocol import Task
from worker_node.job_limits import LimitTable

NOOP = b'["worker_node.functions.noop", null, [], {}]'
LONG = json.dumps(["worker_node.functions.noop", None, ["x" * MAX_BYTES_AHEAD], {}]).encode()


def _runner(limits: str = "") -> JobRunner:
    runner = JobRunner(CallDecoder(FunctionRegistry.load(""), allow_pickle=False), LimitTable.parse(limits))
    runner.decode(Task(1, "known", NOOP, True))
    return runner


@pytest.mark.parametrize("limits", ["", "memory=1GiB,cpu=1,files=100"])
def test_a_short_call_is_decoded_ahead(limits: str) -> None:
    call = _runner(limits).decode_ahead(Task(2, "next", NOOP, True))
    assert call is not None
    assert call.function == "noop"


@pytest.mark.parametrize("limits", ["processes=2", "memory=1GiB; noop: processes=2"])
def test_nothing_is_decoded_ahead_where_the_processes_of_jobs_are_counted(limits: str) -> None:
    assert _runner(limits).decode_ahead(Task(2, "next", NOOP, True)) is None


def test_neither_a_long_call_nor_one_with_callbacks_is_decoded_ahead() -> None:
    assert _runner().decode_ahead(Task(2, "next", LONG, True)) is None
    assert _runner().decode_ahead(Task(2, "next", NOOP, True, callbacks=[None, None, None, -1])) is None
