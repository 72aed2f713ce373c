"""Handles: a job as an object, and jobs in the order in which they end."""

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol

from workmanager.errors import JobFailed
from workmanager.http.job_events import JobEvent

FINAL_STATUSES = frozenset({"finished", "failed", "stopped", "canceled"})
WINDOW_JOBS = 1_000
"""How many jobs `as_completed` waits for at a time: a manager asks for so many in one round trip."""


class Jobs(Protocol):
    """What handles need of the client."""

    def job(self, job_id: str, *, wait_seconds: int | None = None) -> dict[str, Any]: ...
    def wait_for_jobs(
        self, ids: Iterable[str], *, wait_for: Literal["any", "all"] = "all", timeout_seconds: float | None = None
    ) -> dict[str, str | None]: ...
    def cancel(self, job_id: str) -> dict[str, Any]: ...
    def explain(self, job_id: str) -> Mapping[str, Any]: ...
    def logs(self, job_id: str, after: str | None = None) -> Mapping[str, Any]: ...
    def events(self, job_id: str) -> Iterator[JobEvent]: ...


class JobHandle:
    """A job that was submitted. It keeps no state: each method asks a manager.

    Every method raises `ClientError`: `NotFound` if the job does not exist, or not any more.

    Attributes:
        id: the job's id.
    """

    def __init__(self, jobs: Jobs, job_id: str) -> None:
        self.id = job_id
        self._jobs = jobs

    def __repr__(self) -> str:
        return f"JobHandle({self.id!r})"

    def view(self) -> dict[str, Any]:
        """Return the job as `GET /jobs/{id}` shows it."""
        return self._jobs.job(self.id)

    def status(self) -> str:
        """Return the job's status, such as `queued` or `finished`."""
        return str(self.view()["status"])

    def wait(self, timeout_seconds: float | None = None) -> None:
        """Return when the job has ended, however it did.

        Raises:
            TimeoutError: it has not ended within this time (default: no limit).
        """
        status = self._jobs.wait_for_jobs([self.id], timeout_seconds=timeout_seconds)[self.id]
        if status is not None and status not in FINAL_STATUSES:
            raise TimeoutError(f"job {self.id} is {status} after {timeout_seconds:g} s")

    def result(self, timeout_seconds: float | None = None) -> Any:
        """Return what the function returned; wait for it if the job has not ended.

        Raises:
            JobFailed: the job has ended in another way, or its result cannot be read over HTTP.
            TimeoutError: it has not ended within this time (default: no limit).
        """
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        while (view := self.view())["status"] not in FINAL_STATUSES:
            self.wait(None if timeout_seconds is None else max(0.0, deadline - time.monotonic()))
        if view["status"] == "finished" and not view["result_note"]:
            return view["result"]
        raise _failure(view)

    def cancel(self) -> dict[str, Any]:
        """Cancel the job if it waits, or kill it if it runs. If it has ended, this is a `Conflict`."""
        return self._jobs.cancel(self.id)

    def explain(self) -> Mapping[str, Any]:
        """Return why the job does not run: `reason`, `sentence` and its numbers."""
        return self._jobs.explain(self.id)

    def logs(self, after: str | None = None) -> Mapping[str, Any]:
        """Return what the job has logged: `lines`, and `after`, with which the next call returns those that follow."""
        return self._jobs.logs(self.id, after)

    def events(self) -> Iterator[JobEvent]:
        """Yield what happens to the job as it happens, until it has ended."""
        return self._jobs.events(self.id)


def as_completed(jobs: Jobs, ids: Iterable[str], timeout_seconds: float | None) -> Iterator[JobHandle]:
    """Yield a handle of each job when it has ended, or does not exist; see `Client.as_completed`."""
    deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
    further, pending = iter(ids), dict[str, None]()
    while True:
        pending.update(dict.fromkeys(itertools.islice(further, WINDOW_JOBS - len(pending))))
        if not pending:
            return
        left_seconds = None if timeout_seconds is None else max(0.0, deadline - time.monotonic())
        statuses = jobs.wait_for_jobs(pending, wait_for="any", timeout_seconds=left_seconds)
        ended = [job_id for job_id, status in statuses.items() if status is None or status in FINAL_STATUSES]
        if not ended:
            left = "1 job has" if len(pending) == 1 else f"{len(pending)} jobs have"
            raise TimeoutError(f"{left} not ended after {timeout_seconds:g} s")
        for job_id in ended:
            del pending[job_id]
            yield JobHandle(jobs, job_id)


def _failure(view: Mapping[str, Any]) -> JobFailed:
    error = view["error"] or {}
    if view["status"] == "finished":
        message = f"job {view['id']} has finished, but its result cannot be read over HTTP: {view['result_note']}"
    else:
        told = ": ".join(str(error[field]) for field in ("reason", "message") if error.get(field))
        message = f"job {view['id']} {view['status']}" + (f": {told}" if told else "")
    return JobFailed(message, view["id"], view["status"], error.get("reason"), error.get("traceback"))
