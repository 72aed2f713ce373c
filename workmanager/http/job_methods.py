"""Jobs that were submitted, over HTTP: shown, awaited, followed, changed."""

import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Literal

from workmanager.errors import ClientError, UsageError
from workmanager.http.handles import JobHandle, as_completed
from workmanager.http.job_events import Change, JobEvent, follow_changes, follow_job
from workmanager.http.paths import job_path
from workmanager.http.transport import Transport
from workmanager.http.warnings import Warnings

JobView = dict[str, Any]
"""The answer of `GET /jobs/{id}`."""

MAX_WAIT_SECONDS = 55
"""The longest `wait_seconds` that managers accept."""
MAX_WAIT_IDS = 10_000
"""How many jobs one request of `wait_for_jobs` waits for."""


class JobMethods:
    """The part of the client that is about jobs."""

    _transport: Transport
    _warnings: Warnings

    def job(self, job_id: str, *, wait_seconds: int | None = None) -> JobView:
        """Return the job. With `wait_seconds` (at most 55), return when it has ended or the time is over."""
        answer = self._transport.request_json(
            "GET",
            job_path(job_id),
            idempotent=True,
            params={"wait": wait_seconds},
            wait_seconds=wait_seconds or 0,
        )
        return dict(answer)

    def handle(self, job_id: str) -> JobHandle:
        """Return a job as an object with `result`, `wait`, `cancel` and others. No manager is asked."""
        return JobHandle(self, job_id)

    def as_completed(self, ids: Iterable[str], *, timeout_seconds: float | None = None) -> Iterator[JobHandle]:
        """Yield each job when it has ended, the first one first; `JobHandle.result` returns or raises what came of it.

        The ids may come from a generator: it is asked for more as jobs end, of which up to 1,000 are waited for at a
        time. A job that does not exist counts as ended.

        Raises:
            TimeoutError: within this time (default: no limit), some have not ended.
        """
        return as_completed(self, ids, timeout_seconds)

    def explain(self, job_id: str) -> Mapping[str, Any]:
        """Return why a job does not run: `reason`, `sentence` and its numbers (docs/watching.md)."""
        return dict(self._transport.request_json("GET", f"{job_path(job_id)}/explain", idempotent=True))

    def wait_for_jobs(
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
                answer = self._transport.request_json(
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

    def jobs(
        self,
        *,
        status: str | None = None,
        queue: str | None = None,
        label: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[JobView]:
        """Yield all jobs with this status, in this queue, with this label, fetched `page_size` at a time.

        Args:
            label: `name:value`; the jobs that were submitted last come first. If some may be missing, that is logged.
        """
        cursor: str | None = None
        while True:
            answer = self._transport.request_json(
                "GET",
                "/jobs",
                idempotent=True,
                params={"status": status, "queue": queue, "label": label, "limit": page_size, "cursor": cursor},
            )
            self._warnings.tell({"warning": answer.get("incomplete")})
            yield from answer["jobs"]
            cursor = answer["cursor"]
            if not cursor:
                return

    def cancel(self, job_id: str) -> JobView:
        """Cancel a waiting job, or kill a running one. A job that has ended is a `ClientError` 409."""
        return self._change(job_id, "cancel", done={"canceled", "stopped"})

    def delete(self, job_id: str) -> None:
        """Delete a job and everything stored about it. One that runs is a `ClientError` 409: cancel it first."""
        self._transport.delete(job_path(job_id))

    def requeue(self, job_id: str) -> JobView:
        """Run a job again that has failed, was stopped or was canceled."""
        return self._change(job_id, "requeue", done={"started", "finished"})

    def logs(self, job_id: str, after: str | None = None) -> Mapping[str, Any]:
        """Return what a job has logged: `lines`, and `after`, with which the next call returns those that follow."""
        params = {} if after is None else {"after": after}
        return dict(self._transport.request_json("GET", f"{job_path(job_id)}/logs", idempotent=True, params=params))

    def events(self, job_id: str) -> Iterator[JobEvent]:
        """Yield what happens to a job as it happens, until it has ended: statuses, progress and log lines."""
        return follow_job(self._transport, f"{job_path(job_id)}/events")

    def changes(
        self, *, queue: str | None = None, status: str | None = None, label: str | None = None
    ) -> Iterator[Change]:
        """Yield what changes in jobs as it happens, without an end: a snapshot, then each change of a status.

        The data of an event `status` has the job's `id`, `status`, `queue`, `labels` and `at`. An event `gap` says that
        changes may be missing, and another snapshot follows (docs/watching.md).

        Args:
            queue, status: only changes of these.
            label: `name:value`; only those of jobs with this label.
        """
        return follow_changes(self._transport, {"queue": queue, "status": status, "label": label})

    def _change(self, job_id: str, operation: str, done: Collection[str]) -> JobView:
        path = job_path(job_id)
        try:
            return dict(self._transport.request_json("POST", f"{path}/{operation}", idempotent=True))
        except ClientError as error:
            # An earlier attempt made the change, but its answer was lost.
            if error.retried and error.status == HTTPStatus.CONFLICT:
                job = self.job(job_id)
                if job["status"] in done:
                    return job
            raise
