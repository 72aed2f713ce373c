"""Jobs that were submitted, over HTTP: shown, awaited, followed, changed."""

# Made of workmanager/http/job_methods.py by scripts/generate_async_client.py. Do not edit.

import math
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Literal

from workmanager.aio.handles import AsyncJobHandle, as_completed
from workmanager.aio.job_events import follow_changes, follow_job
from workmanager.aio.transport import AsyncTransport
from workmanager.errors import ClientError, UsageError
from workmanager.http.job_events import Change, JobEvent
from workmanager.http.job_methods import MAX_WAIT_IDS, MAX_WAIT_SECONDS, JobView
from workmanager.http.paths import job_path
from workmanager.http.warnings import Warnings


class AsyncJobMethods:
    """The part of the client that is about jobs."""

    _transport: AsyncTransport
    _warnings: Warnings

    async def job(self, job_id: str, *, wait_seconds: int | None = None) -> JobView:
        """Return the job. With `wait_seconds` (at most 55), return when it has ended or the time is over."""
        answer = await self._transport.request_json(
            "GET", job_path(job_id), idempotent=True, params={"wait": wait_seconds}, wait_seconds=wait_seconds or 0
        )
        return dict(answer)

    def handle(self, job_id: str) -> AsyncJobHandle:
        """Return a job as an object with `result`, `wait`, `cancel` and others. No manager is asked."""
        return AsyncJobHandle(self, job_id)

    def as_completed(
        self, ids: Iterable[str], *, timeout_seconds: float | None = None
    ) -> AsyncIterator[AsyncJobHandle]:
        """Yield each job when it has ended, the first one first; `JobHandle.result` returns or raises what came of it.

        The ids are taken as jobs end, of which up to 1,000 are waited for at a
        time. A job that does not exist counts as ended.

        Raises:
            TimeoutError: within this time (default: no limit), some have not ended.
        """
        return as_completed(self, ids, timeout_seconds)

    async def explain(self, job_id: str) -> Mapping[str, Any]:
        """Return why a job does not run: `reason`, `sentence` and its numbers (docs/watching.md)."""
        return dict(await self._transport.request_json("GET", f"{job_path(job_id)}/explain", idempotent=True))

    async def wait_for_jobs(
        self, ids: Iterable[str], *, wait_for: Literal["any", "all"] = "all", timeout_seconds: float | None = None
    ) -> dict[str, str | None]:
        """Wait until one of the jobs has ended, or all of them; return the status of each.

        The status of a job that does not exist is None, and it counts as ended. After `timeout_seconds` (default: no
        limit), return the statuses of that moment.

        Raises:
            UsageError: more than 10,000 jobs, of which any may end first.
        """
        asked = list(dict.fromkeys(ids))
        if wait_for == "any" and len(asked) > MAX_WAIT_IDS:
            raise UsageError(f"wait for any of at most {MAX_WAIT_IDS} jobs, not {len(asked)}")
        deadline = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        statuses: dict[str, str | None] = {}
        for start in range(0, len(asked), MAX_WAIT_IDS):
            part = asked[start : start + MAX_WAIT_IDS]
            while True:
                seconds = max(0.0, min(MAX_WAIT_SECONDS, deadline - time.monotonic()))
                answer = await self._transport.request_json(
                    "POST",
                    "/jobs/wait",
                    idempotent=True,
                    json={"ids": part, wait_for: True, "timeout": seconds},
                    wait_seconds=seconds,
                )
                if answer["done"] or time.monotonic() >= deadline:
                    break
            statuses |= answer["statuses"]
        return statuses

    async def jobs(
        self,
        *,
        status: str | None = None,
        queue: str | None = None,
        label: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[JobView]:
        """Yield all jobs with this status, in this queue, with this label, fetched `page_size` at a time.

        Args:
            label: `name:value`; the jobs that were submitted last come first. If some may be missing, that is logged.
        """
        cursor: str | None = None
        while True:
            answer = await self._transport.request_json(
                "GET",
                "/jobs",
                idempotent=True,
                params={"status": status, "queue": queue, "label": label, "limit": page_size, "cursor": cursor},
            )
            self._warnings.tell({"warning": answer.get("incomplete")})
            for item in answer["jobs"]:
                yield item
            cursor = answer["cursor"]
            if not cursor:
                return

    async def cancel(self, job_id: str) -> JobView:
        """Cancel a waiting job, or kill a running one. A job that has ended is a `ClientError` 409."""
        return await self._change(job_id, "cancel", done={"canceled", "stopped"})

    async def delete(self, job_id: str) -> None:
        """Delete a job and everything stored about it. One that runs is a `ClientError` 409: cancel it first."""
        await self._transport.delete(job_path(job_id))

    async def requeue(self, job_id: str) -> JobView:
        """Run a job again that has failed, was stopped or was canceled."""
        return await self._change(job_id, "requeue", done={"started", "finished"})

    async def logs(self, job_id: str, after: str | None = None) -> Mapping[str, Any]:
        """Return what a job has logged: `lines`, and `after`, with which the next call returns those that follow."""
        params = {} if after is None else {"after": after}
        return dict(
            await self._transport.request_json("GET", f"{job_path(job_id)}/logs", idempotent=True, params=params)
        )

    def events(self, job_id: str) -> AsyncIterator[JobEvent]:
        """Yield what happens to a job as it happens, until it has ended: statuses, progress and log lines."""
        return follow_job(self._transport, f"{job_path(job_id)}/events")

    def changes(
        self, *, queue: str | None = None, status: str | None = None, label: str | None = None
    ) -> AsyncIterator[Change]:
        """Yield what changes in jobs as it happens, without an end: a snapshot, then each change of a status.

        The data of an event `status` has the job's `id`, `status`, `queue`, `labels` and `at`. An event `gap` says that
        changes may be missing, and another snapshot follows (docs/watching.md).

        Args:
            queue, status: only changes of these.
            label: `name:value`; only those of jobs with this label.
        """
        return follow_changes(self._transport, {"queue": queue, "status": status, "label": label})

    async def _change(self, job_id: str, operation: str, done: Collection[str]) -> JobView:
        path = job_path(job_id)
        try:
            return dict(await self._transport.request_json("POST", f"{path}/{operation}", idempotent=True))
        except ClientError as error:
            if error.retried and error.status == HTTPStatus.CONFLICT:
                job = await self.job(job_id)
                if job["status"] in done:
                    return job
            raise
