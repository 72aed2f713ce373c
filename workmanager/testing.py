"""For tests of programs that submit jobs: a client that runs each job at once, in this process.

    def test_an_order_is_measured():
        client = InlineClient()
        place_order(client)  # which calls client.submit("texts.measure", args=["hello"])
        (job,) = client.jobs()
        assert (job["function"], job["result"]) == ("texts.measure", 5)

It needs no manager, no Redis and no worker. Arguments and results pass through JSON, as they do on the way to a worker.
`workmanager.job` works in the functions. A job has ended when `submit` returns, whatever its `delay`, `at`, `queue`,
`limits` and `timeout` say; retries follow at once, callbacks are not sent.
"""

import asyncio
import base64
import hashlib
import importlib
import inspect
import json
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal, Unpack

from workmanager import job as job_module
from workmanager.client import Client, ClientError, Completed, Conflict, JobView, NotFound, UsageError
from workmanager.http.submission import JobOptions, Submission, job_json, new_id

PERMANENT_ERROR = "worker_node.functions.PermanentError"


def _sha512(data: str, iterations: int) -> str:
    digest = base64.b64decode(data)
    for _ in range(iterations):
        digest = hashlib.sha512(digest).digest()
    return digest.hex()


BUILT_IN: Mapping[str, Callable[..., Any]] = {
    "noop": lambda *args, **kwargs: None,
    "sleep": lambda seconds: None,
    "sha512": _sha512,
}


class InlineClient(Client):
    """A client whose jobs run in `submit`. What it cannot do raises UsageError, such as schedules and workflows.

    Args:
        functions: what to call instead of the functions with these names, such as `{"http": fake_service}`. Others are
            imported, `module.function`. `sleep` does not sleep, and `http` calls nothing unless it is given here.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]] | None = None) -> None:
        self._transport = _NoTransport()  # type: ignore[assignment]  # it has no method but the one that raises
        self._functions = {**BUILT_IN, **(functions or {})}
        self._views: dict[str, JobView] = {}
        self._submissions: dict[str, bytes] = {}
        self._unique: dict[str, str] = {}
        self._feed: list[str] = []
        self._logs: dict[str, list[str]] = {}

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def enqueue(
        self,
        data: bytes,
        *,
        iterations: int,
        job_id: str | None = None,
        timeout_seconds: int | None = None,
        callback_url: str | None = None,
    ) -> str:
        kwargs = {"iterations": iterations}
        return self.submit("sha512", id=job_id, data=data, kwargs=kwargs, timeout=timeout_seconds)

    def submit(self, function: str, **options: Unpack[JobOptions]) -> str:
        """Run a job, and return its id. That it failed is seen in `job`, as with other clients."""
        text = job_json({"function": function, **options})
        submission = json.loads(text)
        job_id = str(submission.get("id") or new_id())
        if job_id in self._submissions:
            if self._submissions[job_id] != text:
                raise Conflict(f"job {job_id} exists with other content", HTTPStatus.CONFLICT)
            return job_id
        key = (submission.get("unique") or {}).get("key")
        if key is not None and self._unique.setdefault(key, job_id) != job_id:
            raise Conflict(f"job {self._unique[key]} holds the unique key", HTTPStatus.CONFLICT)
        call = self._functions.get(function) or _imported(function)
        self._submissions[job_id] = text
        self._views[job_id] = view = _view(job_id, submission)
        self._run(view, call, submission)
        if view["status"] == "finished" and submission.get("feed", True):
            self._feed.append(job_id)
        return job_id

    def submit_many(self, submissions: Iterable[Submission]) -> Iterator[str | ClientError]:
        for submission in submissions:
            fields: Any = dict(submission)
            try:
                yield self.submit(fields.pop("function"), **fields)
            except ClientError as error:
                yield error

    def pull(
        self,
        top: int = 100,
        *,
        order: Literal["latest", "oldest"] = "latest",
        lease_seconds: int | None = None,
        wait_seconds: int | None = None,
    ) -> list[Completed]:
        ids = self._feed[::-1] if order == "latest" else self._feed[:]
        for job_id in ids[:top]:
            self._feed.remove(job_id)
        return [Completed(job_id, self._views[job_id]["result"]) for job_id in ids[:top]]

    def ack(self, ids: Iterable[str]) -> int:
        return len([*ids])

    def job(self, job_id: str, *, wait_seconds: int | None = None) -> JobView:
        try:
            return self._views[job_id]
        except KeyError:
            raise NotFound(f"there is no job with the id {job_id!r}", HTTPStatus.NOT_FOUND) from None

    def jobs(
        self,
        *,
        status: str | None = None,
        queue: str | None = None,
        label: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[JobView]:
        """Yield the jobs in the order in which they were submitted."""
        for view in self._views.values():
            labels = [f"{name}:{value}" for name, value in view["labels"].items()]
            if status in (None, view["status"]) and queue in (None, view["queue"]) and label in (None, *labels):
                yield view

    def wait_for_jobs(
        self, ids: Iterable[str], *, wait_for: Literal["any", "all"] = "all", timeout_seconds: float | None = None
    ) -> dict[str, str | None]:
        return {job_id: self._views[job_id]["status"] if job_id in self._views else None for job_id in ids}

    def logs(self, job_id: str, after: str | None = None) -> Mapping[str, Any]:
        return {"lines": [{"text": text} for text in self._logs.get(self.job(job_id)["id"], [])], "after": None}

    def cancel(self, job_id: str) -> JobView:
        raise Conflict(f"job {self.job(job_id)['id']} has ended", HTTPStatus.CONFLICT)

    def _run(self, view: JobView, call: Callable[..., Any], submission: Mapping[str, Any]) -> None:
        parents = {parent if isinstance(parent, str) else parent["id"]: parent for parent in view["depends_on"]}
        for parent_id, parent in parents.items():
            any_end = isinstance(parent, dict) and parent.get("when") == "ended"
            if self.job(parent_id)["status"] != "finished" and not any_end:
                message = f"job {parent_id}, which it waited for, did not finish"
                view |= {"status": "canceled", "error": {"reason": "dependency_failed", "message": message}}
                return
        kwargs = dict(submission.get("kwargs") or {})
        if "data" in submission:
            kwargs["data"] = submission["data"]
        running = _Running(view, self._logs.setdefault(view["id"], []), {one: self.job(one) for one in parents})
        for retries_left in range((submission.get("retry") or {}).get("max", 0), -1, -1):
            view["attempts"] += 1
            token = job_module.inline.set(running)
            try:
                result = call(*(submission.get("args") or ()), **kwargs)
                if inspect.iscoroutine(result):
                    result = asyncio.run(result)
                view |= {"status": "finished", "result": json.loads(json.dumps(result, allow_nan=False)), "error": None}
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, the job fails of it
                kinds = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
                message = f"{kinds[0].removeprefix('builtins.')}: {error}"
                told = {"reason": "exception", "message": message, "traceback": traceback.format_exc()}
                view |= {"status": "failed", "error": told}
                if not retries_left or PERMANENT_ERROR in kinds:
                    return
            finally:
                job_module.inline.reset(token)


class _Running:
    """What `workmanager.job` needs of a running job; it asks itself what others ask of a worker's agent."""

    def __init__(self, view: JobView, lines: list[str], parents: Mapping[str, JobView]) -> None:
        self.job_id, self.sequence, self.agent = view["id"], 0, self
        self._view, self._lines, self._parents = view, lines, parents

    def query(self, _: int, kind: str, key: str, content: bytes) -> Any:
        match kind:
            case "progress":
                self._view["progress"] = json.loads(content)
            case "log":
                self._lines += content.decode().splitlines()
            case "parents":
                return [*self._parents]
            case "parent":
                parent = self._parents[key]
                return json.dumps(parent["result"]).encode() if parent["status"] == "finished" else None
        return None


class _NoTransport:
    def __getattr__(self, name: str) -> Any:
        raise UsageError("InlineClient has no manager: it runs jobs, and shows and pulls what came of them, alone")


def _imported(function: str) -> Callable[..., Any]:
    module, _, name = function.rpartition(".")
    if not module or name.startswith("_"):
        raise ClientError(f"function: {function!r} is not registered", HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        call: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        message = f"function: {function!r} cannot be imported: {error}"
        raise ClientError(message, HTTPStatus.UNPROCESSABLE_ENTITY) from error
    return call


def _view(job_id: str, submission: Mapping[str, Any]) -> JobView:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    given = dict.fromkeys(("args", "kwargs", "meta", "labels", "depends_on", "timeout", "isolation"))
    given |= {"args": [], "kwargs": {}, "meta": {}, "labels": {}, "depends_on": [], "timeout": 3600}
    empty = ("result", "error", "progress", "result_note", "meta_note", "arguments_note", "worker", "due_at")
    return {
        **dict.fromkeys(empty),
        **{name: submission.get(name, default) for name, default in given.items()},
        **dict.fromkeys(("created_at", "enqueued_at", "started_at", "ended_at"), now),
        "id": job_id,
        "function": submission["function"],
        "queue": submission.get("queue", "default"),
        "status": "started",
        "attempts": 0,
    }
