"""The executor of `concurrent.futures`, on a client whose jobs end when a test says so."""

import concurrent.futures
import json
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from tests.waiting import until
from workmanager.client import Client, ClientError, Conflict, JobFailed, Unavailable
from workmanager.errors import UsageError
from workmanager.executor import JobExecutor


class ManualJobs(Client):
    """A client without managers: `end` ends a job."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.submitted: list[dict[str, Any]] = []
        self.views: dict[str, dict[str, Any]] = {}
        self.failures: list[Exception] = []
        self._ended = threading.Condition()

    def submit(self, function: str, **options: Any) -> str:
        job_id = str(len(self.submitted))
        self.submitted.append({"function": function, **options})
        self.views[job_id] = {"id": job_id, "status": "queued", "error": None, "result_note": None}
        return job_id

    def end(self, job_id: str, status: str = "finished", **fields: Any) -> None:
        with self._ended:
            self.views[job_id] |= {"status": status, **fields}
            self._ended.notify_all()

    def wait_for_jobs(
        self, ids: Iterable[str], *, wait_for: str = "all", timeout_seconds: float | None = None
    ) -> dict[str, str | None]:
        if self.failures:
            raise self.failures.pop()
        asked = [*ids]
        with self._ended:
            self._ended.wait_for(
                lambda: any(self.views[job_id]["status"] != "queued" for job_id in asked), timeout_seconds
            )
            return {job_id: self.views[job_id]["status"] for job_id in asked}

    def job(self, job_id: str, *, wait_seconds: int | None = None) -> dict[str, Any]:
        return self.views[job_id]

    def cancel(self, job_id: str) -> dict[str, Any]:
        if self.views[job_id]["status"] != "queued":
            raise Conflict("it has ended", 409)
        self.end(job_id, "canceled")
        return self.views[job_id]


@pytest.fixture
def jobs() -> Iterator[ManualJobs]:
    with ManualJobs() as jobs:
        yield jobs


@pytest.fixture
def executor(jobs: ManualJobs) -> Iterator[JobExecutor]:
    executor = JobExecutor(jobs, queue="calls", timeout=60)
    yield executor
    executor.shutdown(cancel_futures=True)


def test_a_call_is_a_job_and_its_future_has_the_result(jobs: ManualJobs, executor: JobExecutor) -> None:
    future = executor.submit("texts.measure", "hello", scale=2)
    assert not future.done()
    jobs.end(future.job_id, result=10)
    assert future.result(timeout=30) == 10
    (submitted,) = jobs.submitted
    assert (submitted["function"], submitted["args"], submitted["kwargs"]) == (
        "texts.measure",
        ("hello",),
        {"scale": 2},
    )
    assert (submitted["queue"], submitted["timeout"], submitted["feed"]) == ("calls", 60, False)


def test_futures_end_in_the_order_in_which_their_jobs_do(jobs: ManualJobs, executor: JobExecutor) -> None:
    first, second = (executor.submit("f", number) for number in range(2))
    completed = concurrent.futures.as_completed([first, second], timeout=30)
    jobs.end(second.job_id, result=None)
    assert next(completed) is second
    jobs.end(first.job_id, result=None)
    assert next(completed) is first


def test_map_yields_results_in_the_order_of_the_items(jobs: ManualJobs, executor: JobExecutor) -> None:
    results = executor.map("add", [1, 2], [10, 20])
    jobs.end("1", result=22)
    jobs.end("0", result=11)
    assert list(results) == [11, 22]
    assert [job["args"] for job in jobs.submitted] == [(1, 10), (2, 20)]


def test_a_function_is_known_by_its_module_and_name(jobs: ManualJobs, executor: JobExecutor) -> None:
    executor.submit(json.dumps, data=b"bytes", indent=1)
    (submitted,) = jobs.submitted
    assert submitted["function"] == "json.dumps"
    assert (submitted["data"], submitted["kwargs"]) == (b"bytes", {"indent": 1})


@pytest.mark.parametrize("fn", [lambda: None, json.JSONEncoder().encode, print.__call__])
def test_a_function_that_workers_cannot_import_is_refused(executor: JobExecutor, fn: Any) -> None:
    with pytest.raises(UsageError, match="workers cannot import"):
        executor.submit(fn)


def test_a_job_that_fails_raises_why(jobs: ManualJobs, executor: JobExecutor) -> None:
    future = executor.submit("f")
    jobs.end(future.job_id, "failed", error={"reason": "timeout", "message": "killed", "traceback": "..."})
    with pytest.raises(JobFailed, match="timeout: killed"):
        future.result(timeout=30)


def test_a_job_can_be_canceled_until_it_has_ended(jobs: ManualJobs, executor: JobExecutor) -> None:
    waiting, ended = executor.submit("f"), executor.submit("f")
    assert waiting.cancel()
    assert concurrent.futures.wait([waiting], timeout=30).done == {waiting}
    with pytest.raises(CancelledError):
        waiting.result()
    jobs.end(ended.job_id, result=1)
    assert not ended.cancel()
    assert ended.result(timeout=30) == 1


def test_a_job_that_is_killed_by_its_cancellation_is_canceled_even_if_its_end_is_noticed_first(
    jobs: ManualJobs, executor: JobExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(job_id: str) -> dict[str, Any]:
        jobs.end(job_id, "stopped")
        until(future.done, wanted="the end of the future")
        return jobs.views[job_id]

    monkeypatch.setattr(jobs, "cancel", kill)
    future = executor.submit("sleep")
    assert future.cancel()
    assert future.cancelled()


def test_a_job_that_somebody_else_has_canceled_is_canceled(jobs: ManualJobs, executor: JobExecutor) -> None:
    future = executor.submit("f")
    jobs.end(future.job_id, "canceled")
    until(future.cancelled, wanted="a canceled future")


def test_an_outage_delays_results_alone(
    jobs: ManualJobs, executor: JobExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workmanager.executor.OUTAGE_SECONDS", 0.0)
    jobs.failures += [Unavailable("away"), Unavailable("away")]
    future = executor.submit("f")
    jobs.end(future.job_id, result=1)
    assert future.result(timeout=30) == 1
    assert jobs.failures == []


def test_a_refusal_ends_all_futures(jobs: ManualJobs, executor: JobExecutor) -> None:
    jobs.failures.append(ClientError("the API key is wrong", 401))
    with pytest.raises(ClientError, match="key"):
        executor.submit("f").result(timeout=30)


def test_a_shutdown_waits_for_the_jobs_and_takes_no_more(jobs: ManualJobs) -> None:
    executor = JobExecutor(jobs)
    future = executor.submit("f")
    threading.Timer(0.05, jobs.end, (future.job_id,), {"result": 1}).start()
    executor.shutdown()
    assert future.done()
    with pytest.raises(RuntimeError):
        executor.submit("f")
