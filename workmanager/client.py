"""The Python client: puts jobs in and pulls results out, over HTTP only.

    with Client(["http://127.0.0.1:5000", "http://127.0.0.1:5001"]) as client:
        work_id = client.enqueue(b"data", iterations=1_000)
        for completed in client.pull(top=10, wait_seconds=20):
            print(completed.id, completed.value)

Every method raises `ClientError`. What can be repeated safely is repeated, on the next manager, for up to
`retry_seconds`; so an enqueue or a submit carries an id of its own. That covers an answer that was lost, a manager that
is gone or has been silent for five seconds, and 503: a shard is away, or it is not known whether what was done
survives.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Literal, Self, Unpack
from urllib.parse import quote

from workmanager.errors import ClientError
from workmanager.http.submission import Batch, JobOptions, Submission, job_json, split_into_batches
from workmanager.http.transport import Transport

JobView = dict[str, Any]  # what GET /jobs/{id} answers

FINAL_STATUSES = frozenset({"finished", "failed", "stopped", "canceled"})
MAX_WAIT_SECONDS = 55


@dataclass(frozen=True, slots=True)
class Completed:
    """A pulled result: the job's Work ID, and its value (a hex digest, or any function's JSON result)."""

    id: str
    value: Any


class Client:
    """A client of one system, through any of its managers; threads may share it."""

    def __init__(self, urls: str | Sequence[str], key: str | None = None, *, retry_seconds: float = 15.0) -> None:
        """`urls`: one or several managers' addresses; `key`: an API key, where the managers ask for one."""
        self._transport = Transport([urls] if isinstance(urls, str) else urls, key, retry_seconds=retry_seconds)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def enqueue(
        self, data: bytes, *, iterations: int, job_id: str | None = None, timeout_seconds: int | None = None
    ) -> str:
        """Puts in SHA-512 of `data`, `iterations` times; returns the Work ID."""
        answer = self._transport.request_json(
            "PUT",
            "/enqueue",
            idempotent=True,
            params={"iterations": iterations, "id": job_id or new_id(), "timeout": timeout_seconds},
            content=data,
            headers={"Content-Type": "application/octet-stream"},
        )
        return str(answer["Work ID"])

    def submit(self, function: str, **options: Unpack[JobOptions]) -> str:
        """Puts a job in; returns its id. With `unique` a repeat within its time is a `ClientError` 409."""
        submission = _with_id({"function": function, **options})
        answer = self._transport.request_json("POST", "/jobs", idempotent="id" in submission, json=job_json(submission))
        return str(answer["id"])

    def submit_many(self, submissions: Iterable[Submission]) -> Iterator[str | ClientError]:
        """Puts many jobs in, in a few requests; yields each one's id, or why it was refused, in order."""
        for batch in split_into_batches(map(_with_id, submissions)):
            results = self._put_in(batch)
            for pause_seconds in self._transport.backoff():
                again = [place for place, result in enumerate(results) if batch.has_id[place] and _is_away(result)]
                if not again:
                    break
                time.sleep(pause_seconds)
                for place, result in zip(again, self._put_in(batch.subset(again)), strict=True):
                    results[place] = result
            yield from results

    def pull(
        self,
        top: int = 100,
        *,
        order: Literal["latest", "oldest"] = "latest",
        lease_seconds: int | None = None,
        wait_seconds: int | None = None,
    ) -> list[Completed]:
        """Up to `top` (1 to 10,000) results, each handed out once; with `lease_seconds`, again unless `ack`ed in time.

        An empty list comes after `wait_seconds` (at most 55). Without a lease, a request whose answer was lost is
        not repeated: what it handed out stays readable with `job`. One that was refused handed nothing out.
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

    def ack(self, ids: Iterable[str]) -> None:
        """Confirms leased results: they are not handed out again."""
        self._transport.request("POST", "/ackCompleted", idempotent=True, json={"ids": list(ids)})

    def job(self, job_id: str, *, wait_seconds: int | None = None) -> JobView:
        """The job as it stands; with `wait_seconds` (at most 55), when it has ended or the time is over."""
        answer = self._transport.request_json(
            "GET",
            _job_path(job_id),
            idempotent=True,
            params={"wait": wait_seconds},
            wait_seconds=wait_seconds or 0,
        )
        return dict(answer)

    def jobs(
        self, *, status: str | None = None, queue: str | None = None, page_size: int | None = None
    ) -> Iterator[JobView]:
        """All jobs with that status, in that queue, fetched `page` at a time."""
        cursor: str | None = None
        while True:
            answer = self._transport.request_json(
                "GET",
                "/jobs",
                idempotent=True,
                params={"status": status, "queue": queue, "limit": page_size, "cursor": cursor},
            )
            yield from answer["jobs"]
            cursor = answer["cursor"]
            if not cursor:
                return

    def cancel(self, job_id: str) -> JobView:
        """Takes a waiting job out, or kills a running one; 409 when it has ended."""
        return self._change(job_id, "cancel", done={"canceled", "stopped"})

    def requeue(self, job_id: str) -> JobView:
        """Runs a job that failed, was stopped or was cancelled again."""
        return self._change(job_id, "requeue", done={"started", "finished"})

    def requeue_failed(self, queue: str) -> Mapping[str, Any]:
        """Runs all failed jobs of a queue again."""
        # Not repeated: it would requeue what has failed once more meanwhile.
        path = f"/queues/{quote(queue, safe='')}/requeue-failed"
        return dict(self._transport.request_json("POST", path, idempotent=False))

    def status(self) -> Mapping[str, Any]:
        """What the system holds now: `Jobs` not ended, `Workers`, and more."""
        return dict(self._transport.request_json("GET", "/status", idempotent=True))

    def scaler(self) -> Mapping[str, Any]:
        """Who decides how many workers there are, what was seen and decided, and every instance."""
        return dict(self._transport.request_json("GET", "/scaler", idempotent=True))

    def pause_scaler(self) -> Mapping[str, Any]:
        """No workers are launched and none let go from now on."""
        return dict(self._transport.request_json("POST", "/scaler/pause", idempotent=True))

    def resume_scaler(self) -> Mapping[str, Any]:
        """Ends a pause."""
        return dict(self._transport.request_json("POST", "/scaler/resume", idempotent=True))

    def set_scaler_limits(self, limits: Mapping[str, int | float | None]) -> Mapping[str, Any]:
        """Sets `min_workers`, `max_workers`, `budget_per_hour`; None goes back to the managers' settings."""
        return dict(self._transport.request_json("PUT", "/scaler/limits", idempotent=True, json=dict(limits)))

    def _change(self, job_id: str, verb: str, done: Collection[str]) -> JobView:
        path = _job_path(job_id)
        try:
            return dict(self._transport.request_json("POST", f"{path}/{verb}", idempotent=True))
        except ClientError as error:
            # An earlier try has made the change, though nobody said so.
            if error.retried and error.status == HTTPStatus.CONFLICT:
                job = self.job(job_id)
                if job["status"] in done:
                    return job
            raise

    def _put_in(self, batch: Batch) -> list[str | ClientError]:
        answer = self._transport.request(
            "POST",
            "/jobs/batch",
            idempotent=all(batch.has_id),
            content=b"".join(batch.lines),
            headers={"Content-Type": "application/x-ndjson"},
        )
        results = [json.loads(line) for line in answer.content.splitlines()]
        return [_batch_error(result["error"]) if "error" in result else str(result["id"]) for result in results]


def new_id() -> str:
    """A Work ID that nobody else has: 32 hexadecimal digits."""
    return uuid.uuid4().hex


def _with_id(submission: Submission) -> Submission:
    """Names the job, so that sending it twice puts it in once; a unique key and an id exclude each other."""
    if "id" in submission or submission.get("unique") is not None:
        return submission
    return {**submission, "id": new_id()}


def _job_path(job_id: str) -> str:
    return f"/jobs/{quote(job_id, safe='')}"


def _is_away(result: str | ClientError) -> bool:
    return isinstance(result, ClientError) and result.status == HTTPStatus.SERVICE_UNAVAILABLE


def _batch_error(error: Any) -> ClientError:
    problem: dict[str, Any] = error if isinstance(error, dict) else {"detail": str(error)}
    told = problem.get("detail") or problem.get("title") or "refused"
    return ClientError(str(told), problem.get("status"), problem)
