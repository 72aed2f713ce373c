"""A job and its log as a manager shows them (`manager/schemas/responses.py`), of jobs that run in a test."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from workmanager.inline.callback_target import callback_host

DEFAULT_TIMEOUT_SECONDS = 3600
DEFAULT_RETRIES = {"http": 3}
MAX_ATTEMPT_ERRORS = 10
_ENDS = ("finished", "failed", "stopped", "canceled")


def now_text() -> str:
    """Return the time in UTC, ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def job_document(job_id: str, submission: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job that begins, as `GET /jobs/{id}` shows it."""
    now = now_text()
    function = submission["function"]
    default_retry = {"max": DEFAULT_RETRIES.get(function, 0)}
    return {
        "id": job_id,
        "function": function,
        "queue": submission.get("queue", "default"),
        "status": "started",
        "result": None,
        "error": None,
        "attempts": 0,
        "created_at": now,
        "enqueued_at": now,
        "started_at": now,
        "ended_at": None,
        "worker": None,
        "meta": submission.get("meta", {}),
        "args": submission.get("args", []),
        "kwargs": submission.get("kwargs", {}),
        "arguments_note": None,
        "timeout": submission.get("timeout", DEFAULT_TIMEOUT_SECONDS),
        "retries_left": int(submission.get("retry", default_retry)["max"]),
        "due_at": None,
        "progress": None,
        "depends_on": [
            parent if isinstance(parent, str) else parent["id"] for parent in submission.get("depends_on", ())
        ],
        "result_note": None,
        "meta_note": None,
        "function_version": None,
        "isolation": submission.get("isolation"),
        "labels": submission.get("labels", {}),
        "callback": _callback_note(submission),
        "attempt_errors": [],
    }


def log_line(number: int, attempt: int, text: str) -> dict[str, Any]:
    """Return a line of a job's log; lines are counted from 1."""
    return {"id": f"{number}-0", "number": number, "at": now_text(), "attempt": attempt, "stream": "log", "text": text}


def log_document(lines: list[dict[str, Any]], after: str | None, *, ended: bool) -> dict[str, Any]:
    """Return the lines of a job's log that follow the one with the id `after`, as `GET /jobs/{id}/logs` does."""
    first = int(after.partition("-")[0]) if after else 0
    shown = lines[first:]
    return {"lines": shown, "after": shown[-1]["id"] if shown else after, "dropped": 0, "ended": ended}


def _callback_note(submission: Mapping[str, Any]) -> dict[str, Any] | None:
    asked = submission.get("callback") or {"url": submission.get("callback_url")}
    url = asked["url"]
    if url is None:
        return None
    return {"host": callback_host(url), "events": [*(asked.get("events") or _ENDS)], "last_id": None}
