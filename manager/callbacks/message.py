"""The body of a callback: `type`, `timestamp` and `data`, as Standard Webhooks has it; or what RQ sends."""

import re
from typing import Any

import orjson

from jobqueue.callbacks.entry import Entry, RqWebhook
from jobqueue.stored_values import shown_name

_CALLED = re.compile(r"[\w.]+(?=\()")


def message(entry: Entry) -> bytes:
    """Return the body: the same in every attempt. A GET has none."""
    if entry.webhook is not None:
        return _rq_message(entry, entry.webhook) if entry.webhook.method == "POST" else b""
    data: dict[str, Any] = {
        "id": shown_name(entry.job_id),
        "function": entry.function,
        "queue": entry.queue,
        "status": entry.event,
        "attempts": entry.attempts,
        "error": {"reason": entry.reason} if entry.reason else None,
    }
    if entry.result is not None:
        data["result"] = orjson.Fragment(entry.result)
    if entry.result_omitted:
        data["result_omitted"] = True
    return orjson.dumps({"type": f"job.{entry.event}", "timestamp": entry.time, "data": data})


def _rq_message(entry: Entry, webhook: RqWebhook) -> bytes:
    """Return what RQ sends (rq.webhook.Webhook.get_payload)."""
    described = _CALLED.match(entry.function)
    data: dict[str, Any] = {
        "job_id": shown_name(entry.job_id),
        "func_name": webhook.called or (described[0] if described else entry.function),
        "status": entry.event,
        "enqueued_at": _with_offset(webhook.enqueued_at),
        "ended_at": _with_offset(entry.time),
    }
    if entry.event == "failed":
        data["exc_info"] = webhook.traceback
    return orjson.dumps(data)


def _with_offset(time: str) -> str | None:
    return time.removesuffix("Z") + "+00:00" if time.endswith("Z") else time or None
