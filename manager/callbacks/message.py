"""The body of a callback: `type`, `timestamp` and `data`, as Standard Webhooks has it."""

from typing import Any

import orjson

from jobqueue.callbacks.entry import Entry


def message(entry: Entry) -> bytes:
    """Return the body: the same in every attempt."""
    data: dict[str, Any] = {
        "id": entry.job_id,
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
