"""The Python client: submit jobs and pull results, over HTTP only.

    with Client(["http://127.0.0.1:5000", "http://127.0.0.1:5001"]) as client:
        work_id = client.enqueue(b"data", iterations=1_000)
        for completed in client.pull(top=10, wait_seconds=20):
            print(completed.id, completed.value)

Every method raises `ClientError`, often as `Unavailable`, `NotFound` or `Conflict`. A request that is safe to send
twice is retried at the next manager for up to `retry_seconds`. For that, `enqueue` and `submit` give each job an id.
Retried are: a lost answer, a manager that is down or silent for five seconds, and 503. (503: a shard is unavailable, or
the manager cannot tell whether the change would survive a crash.) After 429, every request is sent again, as soon as
its `Retry-After` says: the API key has exceeded a limit, and nothing was carried out.

`workmanager/aio/` is made of this module and of `workmanager/http/`: after a change, run ./scripts/dev.sh async.
"""

import json
import logging
import math
import os
import time
import uuid
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Literal, Self, Unpack
from urllib.parse import quote

from workmanager.errors import ClientError, Conflict, JobFailed, NotFound, Unavailable, UsageError, client_error
from workmanager.http.callbacks import Callbacks
from workmanager.http.handles import FINAL_STATUSES, JobHandle, as_completed
from workmanager.http.job_events import Change, JobEvent, follow_changes, follow_job
from workmanager.http.operations import Operations
from workmanager.http.schedules import Schedules
from workmanager.http.submission import Batch, JobOptions, Submission, has_id, job_json, split_into_batches
from workmanager.http.system import System
from workmanager.http.transport import Transport

__all__ = [
    "FINAL_STATUSES",
    "Client",
    "ClientError",
    "Completed",
    "Conflict",
    "JobFailed",
    "JobHandle",
    "JobView",
    "NotFound",
    "Unavailable",
    "UsageError",
]

log = logging.getLogger(__name__)

JobView = dict[str, Any]
"""The answer of `GET /jobs/{id}`."""

DEFAULT_URL = "http://127.0.0.1:5000"
MAX_WAIT_SECONDS = 55
"""The longest `wait_seconds` that managers accept."""
MAX_AHEAD = 1_000
"""How many jobs `map` submits ahead."""
MAX_WAIT_IDS = 10_000
"""How many jobs one request of `wait_for_jobs` waits for."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A pulled result: the job's Work ID, and its value (a hex digest, or the JSON result of another function)."""

    id: str
    value: Any


class Client:
    """A client of one system, through any of its managers. Thread-safe.

    Attributes:
        callbacks: lists and shows callbacks, sends them again, fetches those for a listener.
        operations: requeues, cancels or deletes all jobs that match.
        schedules: creates, shows, changes and deletes schedules.
        system: shows workers, the audit stream and metrics.
    """

    def __init__(self, urls: str | Sequence[str], key: str | None = None, *, retry_seconds: float = 15.0) -> None:
        """Open no connection yet.

        Args:
            urls: addresses of one or several managers.
            key: an API key, if the managers require one.
            retry_seconds: the longest time from a request's first attempt to its last.

        Raises:
            UsageError: no URL, one that is not http:// or https://, or a key that no header can carry.
        """
        self._told: set[str] = set()
        self._retry_seconds = retry_seconds
        self._transport = Transport([urls] if isinstance(urls, str) else urls, key, retry_seconds=retry_seconds)
        self.callbacks = Callbacks(self._transport)
        self.operations = Operations(self._transport)
        self.schedules = Schedules(self._transport)
        self.system = System(self._transport)

    @classmethod
    def from_environment(cls, *, retry_seconds: float = 15.0) -> Self:
        """Return a client of the managers in `WORKMANAGER_URL`, with the API key in `WORKMANAGER_API_KEY`.

        These are the variables of the commands. The URLs are separated by commas; default: `http://127.0.0.1:5000`.

        Raises:
            UsageError: a URL is not http:// or https://, or no header can carry the key.
        """
        urls = [url.strip() for url in os.environ.get("WORKMANAGER_URL", "").split(",") if url.strip()]
        return cls(urls or DEFAULT_URL, os.environ.get("WORKMANAGER_API_KEY") or None, retry_seconds=retry_seconds)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def enqueue(
        self,
        data: bytes,
        *,
        iterations: int,
        job_id: str | None = None,
        timeout_seconds: int | None = None,
        callback_url: str | None = None,
    ) -> str:
        """Submit a job: SHA-512 of `data`, `iterations` times. Return its Work ID."""
        answer = self._transport.request_json(
            "PUT",
            "/enqueue",
            idempotent=True,
            params={
                "iterations": iterations,
                "id": job_id or new_id(),
                "timeout": timeout_seconds,
                "callback_url": callback_url,
            },
            content=data,
            headers={"Content-Type": "application/octet-stream"},
        )
        self._tell(answer)
        return str(answer["Work ID"])

    def submit(self, function: str, **options: Unpack[JobOptions]) -> str:
        """Submit a job and return its id. With `unique`, a duplicate within its time is a `ClientError` 409.

        Raises:
            UsageError: an option cannot be written as JSON.
        """
        submission = _with_id({"function": function, **options})
        answer = self._transport.request_json(
            "POST",
            "/jobs",
            idempotent=has_id(submission),
            content=job_json(submission),
            headers={"Content-Type": "application/json"},
        )
        self._tell(answer)
        return str(answer["id"])

    def submit_many(self, submissions: Iterable[Submission]) -> Iterator[str | ClientError]:
        """Submit many jobs in a few requests. Yield the id of each job, or the error that refused it, in order.

        Raises:
            UsageError: a job cannot be written as JSON. Those before it that have no answer yet are not submitted.
        """
        for batch in split_into_batches(map(_with_id, submissions)):
            results = self._submit_batch(batch)
            for pause_seconds in self._transport.backoff():
                failed = [i for i, result in enumerate(results) if _can_be_sent_again(result, has_id=batch.has_id[i])]
                if not failed:
                    break
                pause_seconds = max(pause_seconds, *(_retry_after_seconds(results[i]) for i in failed))
                if pause_seconds > self._retry_seconds:
                    break
                time.sleep(pause_seconds)
                for i, result in zip(failed, self._submit_batch(batch.subset(failed)), strict=True):
                    results[i] = result
            yield from results

    def pull(
        self,
        top: int = 100,
        *,
        order: Literal["latest", "oldest"] = "latest",
        lease_seconds: int | None = None,
        wait_seconds: int | None = None,
    ) -> list[Completed]:
        """Take up to `top` (1 to 10,000) completed results. Each is delivered once.

        With `lease_seconds`, a result is delivered again unless `ack` confirms it in time. If there is none, wait for
        the first one for up to `wait_seconds` (at most 55), then return an empty list. Without a lease, a request
        whose answer was lost is not retried: its results can still be read with `job`.
        """
        answer = self._transport.request_json(
            "POST",
            "/pullCompleted",
            idempotent=lease_seconds is not None,
            retry_on_503=True,
            params={
                "top": top,
                "order": order if order != "latest" else None,
                "lease": lease_seconds,
                "wait": wait_seconds,
            },
            wait_seconds=wait_seconds or 0,
        )
        return [Completed(item["Work ID"], item["Value"]) for item in answer]

    def ack(self, ids: Iterable[str]) -> int:
        """Acknowledge leased results, so that they are not delivered again. Return how many were waiting for it."""
        answer = self._transport.request_json("POST", "/ackCompleted", idempotent=True, json={"ids": list(ids)})
        return int(answer["acknowledged"])

    def job(self, job_id: str, *, wait_seconds: int | None = None) -> JobView:
        """Return the job. With `wait_seconds` (at most 55), return when it has ended or the time is over."""
        answer = self._transport.request_json(
            "GET",
            _job_path(job_id),
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

    def map(self, function: str, items: Iterable[Any], **options: Unpack[JobOptions]) -> Iterator[Any]:
        """Call a function with each item as its only argument, each in a job; yield the results in the items' order.

        Items are taken, and jobs submitted, 500 at a time and up to 1,000 ahead of the result that is yielded, so that
        any number of items needs little memory. The results do not enter the feed of `pull`.

        Raises:
            JobFailed: a job did not finish. Those after it stay where they are.
            ClientError: a job was refused.
        """
        submissions: Iterator[Any] = (
            {"feed": False, **options, "function": function, "args": [item]} for item in items
        )
        handles: deque[JobHandle] = deque()
        for job_id in self.submit_many(submissions):
            if isinstance(job_id, ClientError):
                raise job_id
            handles.append(self.handle(job_id))
            if len(handles) > MAX_AHEAD:
                yield handles.popleft().result()
        while handles:
            yield handles.popleft().result()

    def explain(self, job_id: str) -> Mapping[str, Any]:
        """Return why a job does not run: `reason`, `sentence` and its numbers (docs/watching.md)."""
        return dict(self._transport.request_json("GET", f"{_job_path(job_id)}/explain", idempotent=True))

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
            self._tell({"warning": answer.get("incomplete")})
            yield from answer["jobs"]
            cursor = answer["cursor"]
            if not cursor:
                return

    def cancel(self, job_id: str) -> JobView:
        """Cancel a waiting job, or kill a running one. A job that has ended is a `ClientError` 409."""
        return self._change(job_id, "cancel", done={"canceled", "stopped"})

    def delete(self, job_id: str) -> None:
        """Delete a job and everything stored about it. One that runs is a `ClientError` 409: cancel it first."""
        try:
            self._transport.request("DELETE", _job_path(job_id), idempotent=True)
        except ClientError as error:
            # An earlier attempt deleted it, but its answer was lost.
            if not (error.retried and error.status == HTTPStatus.NOT_FOUND):
                raise

    def requeue(self, job_id: str) -> JobView:
        """Run a job again that has failed, was stopped or was canceled."""
        return self._change(job_id, "requeue", done={"started", "finished"})

    def requeue_failed(self, queue: str) -> Mapping[str, Any]:
        """Run all failed jobs of a queue again."""
        # Not retried: it would requeue jobs that have failed again meanwhile.
        path = f"/queues/{_segment(queue)}/requeue-failed"
        return dict(self._transport.request_json("POST", path, idempotent=False))

    def queues(self) -> list[dict[str, Any]]:
        """Return each queue: its jobs by status, whether a worker serves it, and whether it is paused."""
        return list(self._transport.request_json("GET", "/queues", idempotent=True)["queues"])

    def pause_queue(self, queue: str) -> Mapping[str, Any]:
        """Let workers take no job of a queue until `resume_queue`. Jobs that run go on."""
        return self._set_paused(queue, "pause")

    def resume_queue(self, queue: str) -> Mapping[str, Any]:
        """End a queue's pause."""
        return self._set_paused(queue, "resume")

    def status(self) -> Mapping[str, Any]:
        """Return the counts of `Jobs` that have not ended, of `Workers`, and more."""
        return dict(self._transport.request_json("GET", "/status", idempotent=True))

    def scaler(self) -> Mapping[str, Any]:
        """Return the acting manager, its last observation and decisions, the limits, and every instance."""
        return dict(self._transport.request_json("GET", "/scaler", idempotent=True))

    def pause_scaler(self) -> Mapping[str, Any]:
        """Stop launching and terminating workers until `resume_scaler`."""
        return dict(self._transport.request_json("POST", "/scaler/pause", idempotent=True))

    def resume_scaler(self) -> Mapping[str, Any]:
        """End a pause."""
        return dict(self._transport.request_json("POST", "/scaler/resume", idempotent=True))

    def set_scaler_limits(self, limits: Mapping[str, int | float | None]) -> Mapping[str, Any]:
        """Set `min_workers`, `max_workers` or `budget_per_hour`; None restores the managers' setting."""
        return dict(self._transport.request_json("PUT", "/scaler/limits", idempotent=True, json=dict(limits)))

    def submit_workflow(
        self,
        jobs: Mapping[str, Submission],
        *,
        finally_: Submission | None = None,
        workflow_id: str | None = None,
    ) -> Mapping[str, Any]:
        """Submit jobs by local names, which wait for each other by these names (`depends_on`): all of them, or none.

        Args:
            finally_: a job that runs when all others have ended, however they did.
            workflow_id: with it, a repeat changes nothing; default: a new one.

        Returns:
            `id`, and `jobs`: the id of each job by its name.
        """
        prepared = {name: json.loads(job_json(job)) for name, job in jobs.items()}
        body: dict[str, Any] = {"jobs": prepared, "id": workflow_id or new_id()}
        if finally_ is not None:
            body["finally"] = json.loads(job_json(finally_))
        return dict(self._transport.request_json("POST", "/workflows", idempotent=True, json=body))

    def workflow(self, workflow_id: str) -> Mapping[str, Any]:
        """Return a workflow: its `status`, and `jobs` by local name, each with its `id` and `status`."""
        return dict(self._transport.request_json("GET", f"/workflows/{_segment(workflow_id)}", idempotent=True))

    def cancel_workflow(self, workflow_id: str) -> Mapping[str, Any]:
        """Cancel all jobs of a workflow that have not ended; the one that runs at the end runs."""
        path = f"/workflows/{_segment(workflow_id)}/cancel"
        return dict(self._transport.request_json("POST", path, idempotent=True))

    def retry_workflow(self, workflow_id: str) -> Mapping[str, Any]:
        """Run again what did not finish in a workflow, and what waited for it."""
        path = f"/workflows/{_segment(workflow_id)}/retry"
        return dict(self._transport.request_json("POST", path, idempotent=True))

    def logs(self, job_id: str, after: str | None = None) -> Mapping[str, Any]:
        """Return what a job has logged: `lines`, and `after`, with which the next call returns those that follow."""
        params = {} if after is None else {"after": after}
        return dict(self._transport.request_json("GET", f"{_job_path(job_id)}/logs", idempotent=True, params=params))

    def events(self, job_id: str) -> Iterator[JobEvent]:
        """Yield what happens to a job as it happens, until it has ended: statuses, progress and log lines."""
        return follow_job(self._transport, f"{_job_path(job_id)}/events")

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

    def limits(self) -> list[dict[str, Any]]:
        """Return limits of jobs, with who uses them; those under which a job has begun last come first."""
        return list(self._transport.request_json("GET", "/limits", idempotent=True)["limits"])

    def limit(self, key: str) -> Mapping[str, Any]:
        """Return one limit: its numbers, and which jobs run under it."""
        return dict(self._transport.request_json("GET", f"/limits/{_segment(key)}", idempotent=True))

    def set_limit(
        self, key: str, *, concurrency: int | None = None, rate: str | None = None, burst: int | None = None
    ) -> Mapping[str, Any]:
        """Set the numbers of a limit for all jobs, at once: `concurrency`, or `rate` (`100/1m`) with a `burst`."""
        body = {"concurrency": concurrency, "rate": rate, "burst": burst}
        return dict(self._transport.request_json("PUT", f"/limits/{_segment(key)}", idempotent=True, json=body))

    def delete_limit(self, key: str) -> None:
        """Leave the numbers of a limit to its jobs again."""
        try:
            self._transport.request("DELETE", f"/limits/{_segment(key)}", idempotent=True)
        except ClientError as error:
            # An earlier attempt deleted it, but its answer was lost.
            if not (error.retried and error.status == HTTPStatus.NOT_FOUND):
                raise

    def create_key(
        self,
        scopes: Sequence[str],
        queues: Sequence[str] = (),
        expires_seconds: int | None = None,
        limits: Mapping[str, float | None] | None = None,
    ) -> Mapping[str, Any]:
        """Create an API key, with the limits of `limit_key`. The answer's `key` is shown this once."""
        body: dict[str, Any] = {"scopes": list(scopes), "queues": list(queues), "expires": expires_seconds}
        if limits:
            body["limits"] = dict(limits)
        # Not retried: a key whose answer was lost would be left over.
        return dict(self._transport.request_json("POST", "/keys", idempotent=False, json=body))

    def keys(self) -> list[dict[str, Any]]:
        """Return the API keys that were created, without their secrets."""
        return list(self._transport.request_json("GET", "/keys", idempotent=True)["keys"])

    def roll_key(self, key_id: str, overlap_seconds: int | None = None) -> Mapping[str, Any]:
        """Give an API key a new secret, the answer's `key`. The one before stays valid for the overlap (24 h)."""
        body = {} if overlap_seconds is None else {"overlap": overlap_seconds}
        path = f"/keys/{quote(key_id, safe='')}/roll"
        return dict(self._transport.request_json("POST", path, idempotent=False, json=body))

    def limit_key(self, key_id: str, limits: Mapping[str, float | None]) -> Mapping[str, Any]:
        """Set `requests_per_second`, `jobs_per_second`, `payload_bytes` or `waiting_jobs`; None removes the limit."""
        path = f"/keys/{quote(key_id, safe='')}/limits"
        return dict(self._transport.request_json("PUT", path, idempotent=True, json=dict(limits)))

    def revoke_key(self, key_id: str) -> None:
        """Revoke an API key: within five seconds no manager accepts it."""
        try:
            self._transport.request("DELETE", f"/keys/{quote(key_id, safe='')}", idempotent=True)
        except ClientError as error:
            # An earlier attempt revoked it, but its answer was lost.
            if not (error.retried and error.status == HTTPStatus.NOT_FOUND):
                raise

    def _change(self, job_id: str, operation: str, done: Collection[str]) -> JobView:
        path = _job_path(job_id)
        try:
            return dict(self._transport.request_json("POST", f"{path}/{operation}", idempotent=True))
        except ClientError as error:
            # An earlier attempt made the change, but its answer was lost.
            if error.retried and error.status == HTTPStatus.CONFLICT:
                job = self.job(job_id)
                if job["status"] in done:
                    return job
            raise

    def _set_paused(self, queue: str, verb: str) -> Mapping[str, Any]:
        path = f"/queues/{_segment(queue)}/{verb}"
        return dict(self._transport.request_json("POST", path, idempotent=True))

    def _tell(self, answer: Mapping[str, Any]) -> None:
        """Log an answer's warning, such as that no worker serves the job's queue; each text once."""
        warning = answer.get("warning")
        if warning and warning not in self._told:
            self._told.add(warning)
            log.warning("%s", warning)

    def _submit_batch(self, batch: Batch) -> list[str | ClientError]:
        answer = self._transport.request(
            "POST",
            "/jobs/batch",
            idempotent=all(batch.has_id),
            content=b"".join(batch.lines),
            headers={"Content-Type": "application/x-ndjson"},
        )
        results = [json.loads(line) for line in answer.content.splitlines()]
        if len(results) != len(batch.lines):
            raise ClientError(f"{answer.url} gave {len(results)} answers to {len(batch.lines)} jobs")
        for result in results:
            self._tell(result)
        return [_batch_error(result["error"]) if "error" in result else str(result["id"]) for result in results]


def new_id() -> str:
    """Return a random Work ID: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def _with_id(submission: Submission) -> Submission:
    """Give the job an id, so that sending it twice creates it once. A job with a unique key cannot have one."""
    if has_id(submission) or submission.get("unique") is not None:
        return submission
    return {**submission, "id": new_id()}


def _job_path(job_id: str) -> str:
    return f"/jobs/{_segment(job_id)}"


def _segment(name: str) -> str:
    """Return a name as one segment of a path. Where `.` and `..` stand as they are, they are taken out of the path."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


def _can_be_sent_again(result: str | ClientError, *, has_id: bool) -> bool:
    if not isinstance(result, ClientError):
        return False
    # 429: it was not carried out.
    return result.status == HTTPStatus.TOO_MANY_REQUESTS or (has_id and result.status == HTTPStatus.SERVICE_UNAVAILABLE)


def _retry_after_seconds(result: str | ClientError) -> float:
    """Return how long a refused line of a batch asks to wait."""
    return (result.retry_after_seconds or 0.0) if isinstance(result, ClientError) else 0.0


def _batch_error(error: Any) -> ClientError:
    problem: dict[str, Any] = error if isinstance(error, dict) else {"detail": str(error)}
    message = str(problem.get("detail") or problem.get("title") or "refused")
    if problem.get("status") is None:
        return ClientError(message, None, problem)  # Not `Unavailable`: a manager has answered.
    seconds = problem.get("retry_after")
    return client_error(message, problem["status"], problem, seconds if isinstance(seconds, int | float) else None)
