"""Spans of requests that submit jobs, in the terms of OpenTelemetry's conventions for messaging.

Hot path: without tracing, a request costs a check in the gateway and one in the route.
"""

from typing import TYPE_CHECKING

from jobqueue.model import NewJob
from manager.http.asgi import FIELDS, Scope
from manager.http.request_origin import JOB_ID
from processes.tracing.context import context_of_request

if TYPE_CHECKING:
    # Managers that do not trace start without OpenTelemetry.
    from processes.tracing.spans import Tracing

SUBMISSION = "workmanager.submission"
"""Key of the scope of a request that submits jobs: its `SubmissionSpan`; missing if nothing is traced."""
SUBMISSIONS = frozenset({("PUT", "/enqueue"), ("POST", "/jobs"), ("POST", "/jobs/batch"), ("POST", "/workflows")})
"""Method and path of such requests."""


class SubmissionSpan:
    """The span of one request: `send` and the queue. It is part of the trace that the request names."""

    def __init__(self, tracing: "Tracing", scope: Scope) -> None:
        from processes.tracing.spans import PRODUCER, context_of

        attributes = {"messaging.system": "workmanager", "messaging.operation.name": "send"}
        attributes["messaging.operation.type"] = "send"
        self._span = tracing.start("send", PRODUCER, attributes, parent=context_of_request(scope[FIELDS]))
        self.context = context_of(self._span)
        self._text = self.context.text
        self._queues: set[str] = set()
        self._functions: set[str] = set()
        self._jobs = 0

    def note(self, job: NewJob) -> NewJob:
        """Return a job that the request submits, with this span in it."""
        self._queues.add(job.queue)
        self._functions.add(job.function)
        self._jobs += 1
        return job._replace(trace=self._text)

    def end(self, status: int, job_id: str | None) -> None:
        """End the span.

        Args:
            status: of the response.
            job_id: of the job, if the request has submitted one alone.
        """
        from processes.tracing.spans import fail

        span = self._span
        span.set_attribute("http.response.status_code", status)
        if len(self._queues) == 1:
            (queue,) = self._queues
            span.update_name(f"send {queue}")
            span.set_attribute("messaging.destination.name", queue)
        if len(self._functions) == 1:
            span.set_attribute("workmanager.function", *self._functions)
        if job_id is not None:
            span.set_attribute("messaging.message.id", job_id)
        elif self._jobs:
            span.set_attribute("messaging.batch.message_count", self._jobs)
        if status >= 400:
            fail(span, str(status))
        span.end()


class RequestTraces:
    """Makes the spans, and tells the access log which trace a request belongs to."""

    def __init__(self, tracing: "Tracing") -> None:
        self._tracing = tracing

    def begin(self, scope: Scope) -> None:
        """Start the span of a request, if it submits jobs."""
        if (scope["method"], scope["path"]) in SUBMISSIONS:
            scope[SUBMISSION] = SubmissionSpan(self._tracing, scope)

    def end(self, scope: Scope, status: int) -> str | None:
        """End the span of a request; return the id of the trace that the request belongs to, None if to none."""
        span: SubmissionSpan | None = scope.get(SUBMISSION)
        if span is not None:
            span.end(status, scope.get(JOB_ID))
            return span.context.trace_id
        context = context_of_request(scope[FIELDS])
        return None if context is None else context.trace_id


def traced(scope: Scope, job: NewJob) -> NewJob:
    """Return a job that the request submits, with the request's span in it, if there is one."""
    span: SubmissionSpan | None = scope.get(SUBMISSION)
    return job if span is None else span.note(job)
