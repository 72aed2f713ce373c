"""An entry of the outbox: one event that somebody is to be told of, and where to."""

import json
import zlib
from base64 import b64decode
from binascii import Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobqueue.json_text import json_object
from jobqueue.rq_call import bounded_decompress, called_path
from jobqueue.stored_values import integer_of, name_of, record_of, text_of

EVENTS = ("finished", "failed", "stopped", "canceled")
"""The ends of a job that a callback can tell of."""
LISTENER_PREFIX = "listen/"
"""Begins the host of entries that a listener fetches itself."""
MAX_TRACEBACK_BYTES = 256 * 1024
DEFAULT_WEBHOOK_SECONDS = 10
"""RQ's default (rq.webhook.Webhook)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry, as stored.

    Attributes:
        id: `<job id>_<milliseconds>_<event>`: the same in each attempt, and another one for each end of the job.
        token: of the lease it was claimed with; '' if it was not.
        time: of the event, ISO 8601 in UTC.
        url: where to send it; a secret, as whoever knows a chat's webhook can post to it.
        host: host and port of the URL, or `listen/NAME`.
        attempts: how many times the job had started.
        reason: why the job failed; '' for none.
        result: the result as JSON; None if it was not asked for, or left out.
        result_omitted: it was asked for, and left out because it is too long, or because too many callbacks waited.
        tries: number of attempts to deliver it.
        log: the last of these, as dictionaries with the fields of `jobqueue.callbacks.outbox.Attempt`.
        webhook: of a plain RQ client (`rq.webhook.Webhook`); None for a callback of ours.
        span: that of the job's submission (`TraceContext.text`); '' for none.
        run: token of the lease of the job's last run; '' if it has not run, or has no such span.
    """

    id: str
    token: str
    job_id: str
    event: str
    time: str
    url: str
    host: str
    queue: str
    function: str
    attempts: int
    reason: str
    result: bytes | None
    result_omitted: bool
    tries: int
    log: tuple[Mapping[str, Any], ...] = ()
    webhook: "RqWebhook | None" = None
    span: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class RqWebhook:
    """A webhook as a plain RQ client has asked for it.

    Attributes:
        method: GET or POST.
        timeout_seconds: how long an attempt may take at most; at least 1.
        headers: sent as they are.
        called: path of the job's function; '' if its call is pickled.
        enqueued_at: of the job, as RQ writes it; '' for never.
        traceback: of a failed job; '' for none.
    """

    method: str
    timeout_seconds: int
    headers: Mapping[str, str]
    called: str
    enqueued_at: str
    traceback: str


def entry_of(callback_id: str, flat: Sequence[bytes], token: str = "") -> Entry:
    """Return the entry that a hash holds. A field that cannot be read has its default."""
    fields = record_of(flat)

    def text(name: str) -> str:
        return text_of(fields.get(name, b""))

    return Entry(
        callback_id,
        token,
        name_of(fields.get("job", b"")),
        text("event"),
        time=text("time"),
        url=text("url"),
        host=text("host"),
        queue=text("queue"),
        function=text("function"),
        attempts=integer_of(fields.get("attempts")),
        reason=text("reason"),
        result=_decoded(fields.get("result")),
        result_omitted="result_omitted" in fields,
        tries=integer_of(fields.get("tries")),
        log=tuple(_lines(fields.get("log", b""))),
        webhook=_webhook(fields),
        span=text("span"),
        run=text("run"),
    )


def job_id_of(callback_id: str) -> str | None:
    """Return the id of the job that a callback's id begins with; None if it is no such id."""
    job_id, *rest = callback_id.rsplit("_", 2)
    return job_id if len(rest) == 2 and job_id and rest[0].isdecimal() and rest[1] in EVENTS else None


def _webhook(fields: Mapping[str, bytes]) -> RqWebhook | None:
    if "webhook" not in fields:
        return None
    try:
        asked = json.loads(fields["webhook"])
    except (ValueError, RecursionError):
        asked = None
    options = asked if isinstance(asked, dict) else {}
    headers = options.get("headers")
    return RqWebhook(
        method="POST" if options.get("method") == "POST" else "GET",
        timeout_seconds=integer_of(str(options.get("timeout")), DEFAULT_WEBHOOK_SECONDS, lowest=1),
        headers={str(name): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {},
        called=called_path(fields.get("call", b"")),
        enqueued_at=text_of(fields.get("enqueued_at", b"")),
        traceback=_traceback(fields.get("trace", b"")),
    )


def _traceback(encoded: bytes) -> str:
    try:
        return bounded_decompress(b64decode(encoded), MAX_TRACEBACK_BYTES).decode("utf-8", "replace") if encoded else ""
    except (Error, ValueError, zlib.error):
        return ""


def _decoded(result: bytes | None) -> bytes | None:
    if result is None:
        return None
    try:
        value = b64decode(result, validate=True)
        json.loads(value)
    except (Error, ValueError, RecursionError):
        return None
    return value


def _lines(log: bytes) -> list[Mapping[str, Any]]:
    attempts = map(json_object, log.splitlines())
    return [attempt for attempt in attempts if attempt is not None]
