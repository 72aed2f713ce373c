"""For tests of programs that submit jobs: a client that runs each job at once, in this process.

    def test_an_order_is_measured():
        client = InlineClient()
        place_order(client)  # which calls client.submit("texts.measure", args=["hello"])
        (job,) = client.jobs()
        assert (job["function"], job["result"]) == ("texts.measure", 5)

It needs no manager, no Redis and no worker. Arguments and results pass through JSON, as they do on the way to a worker.
`workmanager.job` works in the functions. A job has ended when `submit` returns, whatever its `delay`, `at`, `queue`,
`limits` and `timeout` say; retries follow at once, callbacks are not sent. What a manager refuses is refused.
"""

import asyncio
import base64
import hashlib
import importlib
import inspect
import json
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Literal, Unpack

from workmanager import job as job_module
from workmanager.client import Client, ClientError, Completed, Conflict, JobView, NotFound, UsageError
from workmanager.http.submission import JobOptions, Submission, job_json, new_id
from workmanager.inline.documents import MAX_ATTEMPT_ERRORS, job_document, log_document, log_line, now_text
from workmanager.inline.submission_check import MAX_ITERATIONS, check_enqueue, check_submission, refusal

PERMANENT_ERROR = "worker_node.functions.PermanentError"
MAX_WAIT_SECONDS = 7 * 24 * 3600
"""For how long `RateLimited` can have jobs wait."""
MAX_WAITS = 100
"""How often a job may raise `RateLimited`. Elsewhere time passes in between; here it would run for ever."""


def _sha512(data: str, iterations: int) -> str:
    if type(iterations) is not int or not 1 <= iterations <= MAX_ITERATIONS:
        raise ValueError(f"iterations must be an integer from 1 to {MAX_ITERATIONS}, not {iterations!r}")
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
            imported, `module.function`. `sleep` does not sleep, and `http` must be given here to be called.
    """

    def __init__(self, functions: Mapping[str, Callable[..., Any]] | None = None) -> None:
        self._transport = _NoTransport()  # type: ignore[assignment]  # it has no method but the one that raises
        self._functions = {**BUILT_IN, **(functions or {})}
        self._views: dict[str, JobView] = {}
        self._submissions: dict[str, bytes] = {}
        self._unique: dict[str, str] = {}
        self._feed: list[str] = []
        self._logs: dict[str, list[dict[str, Any]]] = {}

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
        check_enqueue(iterations, timeout_seconds, job_id)
        kwargs = {"iterations": iterations}
        return self.submit(
            "sha512", id=job_id, data=data, kwargs=kwargs, timeout=timeout_seconds, callback_url=callback_url
        )

    def submit(self, function: str, **options: Unpack[JobOptions]) -> str:
        """Run a job, and return its id. That it failed is seen in `job`, as with other clients."""
        text = job_json({"function": function, **options})
        submission = json.loads(text)
        check_submission(submission, self._views.__contains__)
        call = self._functions.get(function) or _imported(function)
        job_id = str(submission.get("id") or new_id())
        if job_id in self._submissions:
            if self._submissions[job_id] != text:
                raise Conflict(f"job {job_id} exists with other content", HTTPStatus.CONFLICT)
            return job_id
        key = (submission.get("unique") or {}).get("key")
        if key is not None and self._unique.setdefault(key, job_id) != job_id:
            raise Conflict(f"job {self._unique[key]} holds the unique key", HTTPStatus.CONFLICT)
        self._submissions[job_id] = text
        self._views[job_id] = view = job_document(job_id, submission)
        self._run(view, call, submission)
        view["ended_at"] = now_text()
        if view["status"] == "finished" and submission.get("feed", True):
            self._feed.append(job_id)
        return job_id

    def submit_many(self, submissions: Iterable[Submission]) -> Iterator[str | ClientError]:
        for submission in submissions:
            fields: Any = dict(submission)
            try:
                yield self.submit(fields.pop("function", None), **fields)
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
            return dict(self._views[job_id])
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
        for view in [*self._views.values()]:
            labels = [f"{name}:{value}" for name, value in view["labels"].items()]
            if status in (None, view["status"]) and queue in (None, view["queue"]) and label in (None, *labels):
                yield {name: value for name, value in view.items() if name != "attempt_errors"}

    def wait_for_jobs(
        self, ids: Iterable[str], *, wait_for: Literal["any", "all"] = "all", timeout_seconds: float | None = None
    ) -> dict[str, str | None]:
        return {job_id: self._views[job_id]["status"] if job_id in self._views else None for job_id in ids}

    def logs(self, job_id: str, after: str | None = None) -> Mapping[str, Any]:
        return log_document(self._logs.get(job_id, []), after, ended=self.job(job_id)["ended_at"] is not None)

    def cancel(self, job_id: str) -> JobView:
        raise Conflict(f"job {self.job(job_id)['id']} has ended", HTTPStatus.CONFLICT)

    def _run(self, view: JobView, call: Callable[..., Any], submission: Mapping[str, Any]) -> None:
        for parent in submission.get("depends_on", ()):
            parent_id, when = (parent, "finished") if isinstance(parent, str) else (parent["id"], parent.get("when"))
            if when != "ended" and (status := self.job(parent_id)["status"]) != "finished":
                message = f"it waited for job {parent_id} to finish, which is {status}"
                error = {"reason": "dependency_failed", "message": message, "traceback": ""}
                view |= {"status": "canceled", "error": error, "started_at": None}
                return
        running = _Running(
            view, self._logs.setdefault(view["id"], []), {one: self.job(one) for one in view["depends_on"]}
        )
        waits = 0
        # Each attempt has arguments of its own, as on a worker: a function may change them.
        text = self._submissions[view["id"]]
        while (raised := _attempt(view, call, json.loads(text), running)) is not None:
            kinds = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(raised).__mro__]
            message = f"{kinds[0].removeprefix('builtins.')}: {raised}"
            if type(raised) is job_module.RateLimited:
                refused = _why_not_later(raised, submission, waits)
                if not refused:
                    waits += 1
                    continue
                message += f"\nRuntimeError: {refused}"
            stack = "".join(traceback.format_exception(raised))
            view |= {"status": "failed", "error": {"reason": "exception", "message": message, "traceback": stack}}
            errors = [*view["attempt_errors"], {**view["error"], "ended_at": now_text(), "worker": None}]
            view["attempt_errors"] = errors[-MAX_ATTEMPT_ERRORS:]
            if not view["retries_left"] or PERMANENT_ERROR in kinds:
                return
            view["retries_left"] -= 1


def _attempt(
    view: JobView, call: Callable[..., Any], submission: Mapping[str, Any], running: "_Running"
) -> BaseException | None:
    """Call a job's function once, and return what it raised."""
    kwargs = dict(submission.get("kwargs", {}))
    if "data" in submission:
        kwargs["data"] = submission["data"]
    view |= {"status": "started", "attempts": view["attempts"] + 1}
    token = job_module.inline.set(running)
    try:
        result = call(*submission.get("args", ()), **kwargs)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        view |= {"status": "finished", "result": json.loads(json.dumps(result, allow_nan=False)), "error": None}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the job fails of it
        return error
    finally:
        job_module.inline.reset(token)
    return None


def _why_not_later(raised: job_module.RateLimited, submission: Mapping[str, Any], waits: int) -> str:
    """Return why a job that raised `RateLimited` fails; '' if it runs again."""
    keys = [limit["key"] for limit in submission.get("limits", ())]
    if raised.key not in keys or not 0 <= raised.seconds <= MAX_WAIT_SECONDS:
        return f"the job has no limit with the key {raised.key!r} that could wait {raised.seconds:g} s"
    if waits == MAX_WAITS:
        return f"it has raised RateLimited {waits} times before, and InlineClient does not wait in between"
    return ""


class _Running:
    """What `workmanager.job` needs of a running job; it asks itself what others ask of a worker's agent."""

    def __init__(self, view: JobView, lines: list[dict[str, Any]], parents: Mapping[str, JobView]) -> None:
        self.job_id, self.sequence, self.agent = view["id"], 0, self
        self._view, self._lines, self._parents = view, lines, parents

    def query(self, _: int, kind: str, key: str, content: bytes) -> Any:
        match kind:
            case "progress":
                self._view["progress"] = {**json.loads(content), "at": time.time()}
            case "log":
                for text in content.decode().splitlines():
                    self._lines.append(log_line(len(self._lines) + 1, self._view["attempts"], text))
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
    if function == "http":
        raise UsageError("InlineClient calls no service: give what is called instead, InlineClient({'http': fake})")
    module, _, name = function.rpartition(".")
    if not module or module.startswith(".") or name.startswith("_"):
        raise refusal("function", f"{function!r} is not registered")
    try:
        call: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise refusal("function", f"{function!r} cannot be imported: {error}") from error
    if not callable(call):
        raise refusal("function", f"{function!r} is no function")
    return call
