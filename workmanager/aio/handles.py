"""Handles: a job as an object, and jobs in the order in which they end."""

# Made of workmanager/http/handles.py by scripts/generate_async_client.py. Do not edit.

import itertools
import math
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Literal, Protocol

from workmanager.http.handles import FINAL_STATUSES, WINDOW_JOBS, _failure
from workmanager.http.job_events import JobEvent


class AsyncJobs(Protocol):
    """What handles need of the client."""

    async def job(self, job_id: str, *, wait_seconds: int | None = None) -> dict[str, Any]: ...

    async def wait_for_jobs(
        self, ids: Iterable[str], *, wait_for: Literal["any", "all"] = "all", timeout_seconds: float | None = None
    ) -> dict[str, str | None]: ...

    async def cancel(self, job_id: str) -> dict[str, Any]: ...

    async def explain(self, job_id: str) -> Mapping[str, Any]: ...

    async def logs(self, job_id: str, after: str | None = None) -> Mapping[str, Any]: ...

    def events(self, job_id: str) -> AsyncIterator[JobEvent]: ...


class AsyncJobHandle:
    """A job that was submitted. It keeps no state: each method asks a manager.

    Every method raises `ClientError`: `NotFound` if the job does not exist, or not any more.

    Attributes:
        id: the job's id.
    """

    def __init__(self, jobs: AsyncJobs, job_id: str) -> None:
        self.id = job_id
        self._jobs = jobs

    def __repr__(self) -> str:
        return f"AsyncJobHandle({self.id!r})"

    async def view(self) -> dict[str, Any]:
        """Return the job as `GET /jobs/{id}` shows it."""
        return await self._jobs.job(self.id)

    async def status(self) -> str:
        """Return the job's status, such as `queued` or `finished`."""
        return str((await self.view())["status"])

    async def wait(self, timeout_seconds: float | None = None) -> None:
        """Return when the job has ended, however it did.

        Raises:
            TimeoutError: it has not ended within this time (default: no limit).
        """
        status = (await self._jobs.wait_for_jobs([self.id], timeout_seconds=timeout_seconds))[self.id]
        if status is not None and status not in FINAL_STATUSES:
            raise TimeoutError(f"job {self.id} is {status} after {timeout_seconds:g} s")

    async def result(self, timeout_seconds: float | None = None) -> Any:
        """Return what the function returned; wait for it if the job has not ended.

        Raises:
            JobFailed: the job has ended in another way, or its result cannot be read over HTTP.
            TimeoutError: it has not ended within this time (default: no limit).
        """
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        while (view := (await self.view()))["status"] not in FINAL_STATUSES:
            await self.wait(None if timeout_seconds is None else max(0.0, deadline - time.monotonic()))
        if view["status"] == "finished" and (not view["result_note"]):
            return view["result"]
        raise _failure(view)

    async def cancel(self) -> dict[str, Any]:
        """Cancel the job if it waits, or kill it if it runs. If it has ended, this is a `Conflict`."""
        return await self._jobs.cancel(self.id)

    async def explain(self) -> Mapping[str, Any]:
        """Return why the job does not run: `reason`, `sentence` and its numbers."""
        return await self._jobs.explain(self.id)

    async def logs(self, after: str | None = None) -> Mapping[str, Any]:
        """Return what the job has logged: `lines`, and `after`, with which the next call returns those that follow."""
        return await self._jobs.logs(self.id, after)

    def events(self) -> AsyncIterator[JobEvent]:
        """Yield what happens to the job as it happens, until it has ended."""
        return self._jobs.events(self.id)


async def as_completed(
    jobs: AsyncJobs, ids: Iterable[str], timeout_seconds: float | None
) -> AsyncIterator[AsyncJobHandle]:
    """Yield a handle of each job when it has ended, or does not exist; see `Client.as_completed`."""
    deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
    further, pending = (iter(ids), dict[str, None]())
    while True:
        pending.update(dict.fromkeys(itertools.islice(further, WINDOW_JOBS - len(pending))))
        if not pending:
            return
        left_seconds = None if timeout_seconds is None else max(0.0, deadline - time.monotonic())
        statuses = await jobs.wait_for_jobs(pending, wait_for="any", timeout_seconds=left_seconds)
        ended = [job_id for job_id, status in statuses.items() if status is None or status in FINAL_STATUSES]
        if not ended:
            left = "1 job has" if len(pending) == 1 else f"{len(pending)} jobs have"
            raise TimeoutError(f"{left} not ended after {timeout_seconds:g} s")
        for job_id in ended:
            del pending[job_id]
            yield AsyncJobHandle(jobs, job_id)
