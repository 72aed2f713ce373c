"""The span of an attempt to deliver a callback: a request, in the terms of OpenTelemetry's conventions for HTTP.

Imports OpenTelemetry, so it is itself imported only by managers that trace.
"""

from opentelemetry.trace import Span

from jobqueue.callbacks.entry import Entry
from jobqueue.callbacks.outbox import Attempt
from jobqueue.traces import run_context
from processes.tracing.context import TraceContext, parse_text
from processes.tracing.spans import CLIENT, Tracing, context_of, fail


class CallbackSpan:
    """One attempt. It follows from the run that the callback tells of.

    Attributes:
        headers: tell the receiver of the span.
    """

    def __init__(self, tracing: Tracing, entry: Entry, method: str) -> None:
        name, _, port = entry.host.rpartition(":")
        attributes: dict[str, str | int] = {
            # Without the URL, which is a secret.
            "http.request.method": method,
            "server.address": name.removeprefix("[").removesuffix("]"),
            "workmanager.callback_id": entry.id,
            "messaging.message.id": entry.job_id,
        }
        if port.isdecimal():
            attributes["server.port"] = int(port)
        if entry.tries:
            attributes["http.request.resend_count"] = entry.tries
        cause = _cause(entry, joins=tracing.joins)
        if tracing.joins:
            self._span: Span = tracing.start(method, CLIENT, attributes, parent=cause)
        else:
            self._span = tracing.start(method, CLIENT, attributes, links=[] if cause is None else [cause])
        self.headers = context_of(self._span).headers

    def end(self, attempt: Attempt) -> None:
        """Tell what came of it."""
        if attempt.status is not None:
            self._span.set_attribute("http.response.status_code", attempt.status)
        if attempt.status is None or attempt.status >= 400:
            fail(self._span, "no_answer" if attempt.status is None else str(attempt.status), attempt.error)
        self._span.end()


def _cause(entry: Entry, *, joins: bool) -> TraceContext | None:
    """Return the run, or the submission of a job that has not run; None for a job that was not traced."""
    submission = parse_text(entry.span)
    if submission is None or not entry.run:
        return submission
    return run_context(entry.job_id, entry.run, submission, joins=joins)
