"""The span of each run of a job, in the terms of OpenTelemetry's conventions for messaging.

The agent makes it when the run has ended: executors have no SDK, and one that dies could not end it. Its ids are known
from the claim on (`jobqueue/traces.py`), so that the spans which the job's own code makes meanwhile are part of it.
A run without an outcome has no span: its worker died, or gave the job back.

Imports OpenTelemetry, so it is itself imported only by workers that trace.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime

from jobqueue.claimed_job import ClaimedJob
from jobqueue.error_message import first_line
from jobqueue.lifecycle.finish import Failed, Finished, Outcome, Retried
from jobqueue.model import FailureReason
from jobqueue.stored_values import name_of
from jobqueue.traces import run_context
from processes.tracing.context import TraceContext, parse_text
from processes.tracing.spans import CONSUMER, Attributes, Tracing, fail

MAX_MESSAGE_CHARS = 300


class RunSpans:
    """Makes the spans of a worker's runs.

    Args:
        worker: its name.
    """

    def __init__(self, tracing: Tracing, worker: str) -> None:
        self._tracing = tracing
        self._worker = worker

    def context_of(self, job: ClaimedJob) -> TraceContext:
        """Return where the span of a job's run will stand."""
        submission = _submission(job)
        ids = run_context(job.id, job.token, submission, joins=self._tracing.joins)
        parent = submission if self._tracing.joins else None
        return ids._replace(sampled=self._tracing.samples(_name(job), CONSUMER, ids, parent))

    def end(self, outcomes: Sequence[Outcome]) -> None:
        """Make the spans of runs that have just ended: those of one executor, in order, one after the other."""
        end_ns = time.time_ns()
        for outcome in reversed(outcomes):
            start_ns = end_ns - round(outcome.seconds * 1e9)
            self._make(outcome, start_ns, end_ns)
            end_ns = start_ns

    def _make(self, outcome: Outcome, start_ns: int, end_ns: int) -> None:
        job, joins = outcome.job, self._tracing.joins
        submission = _submission(job)
        links = [] if joins or submission is None else [submission]
        span = self._tracing.start(
            _name(job),
            CONSUMER,
            self._attributes(outcome, start_ns),
            parent=submission if joins else None,
            links=[*links, *self._parents(job)],
            ids=run_context(job.id, job.token, submission, joins=joins),
            start_ns=start_ns,
        )
        if isinstance(outcome, Failed):
            fail(span, str(outcome.reason), first_line(outcome.traceback)[:MAX_MESSAGE_CHARS])
        elif isinstance(outcome, Retried):
            fail(span, str(FailureReason.EXCEPTION), "the function has asked for another run")
        elif not isinstance(outcome, Finished):
            fail(span, "stopped", "the job was cancelled while it ran")
        span.end(end_ns)

    def _parents(self, job: ClaimedJob) -> Iterator[TraceContext]:
        """Yield the runs of the jobs that this one has waited for."""
        for line in name_of(job.trace).split("\n")[1:]:
            parent, _, rest = line.partition(" ")
            token, _, text = rest.partition(" ")
            if (submission := parse_text(text)) is not None:
                yield run_context(parent, token, submission, joins=self._tracing.joins)

    def _attributes(self, outcome: Outcome, start_ns: int) -> Attributes:
        job = outcome.job
        attributes: dict[str, str | int | float] = {
            "messaging.system": "workmanager",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": job.queue,
            "messaging.message.id": job.id,
            "messaging.client.id": self._worker,
            "workmanager.function": outcome.function,
            "workmanager.attempt": job.attempt,
        }
        enqueued_at = _instant(job.since.partition(b" ")[0])
        if enqueued_at is not None:
            attributes["workmanager.wait_seconds"] = max(0.0, start_ns / 1e9 - enqueued_at)
        return attributes


def _name(job: ClaimedJob) -> str:
    return f"process {job.queue}"


def _submission(job: ClaimedJob) -> TraceContext | None:
    return parse_text(job.trace.partition(b"\n")[0].decode("latin-1")) if job.trace else None


def _instant(text: bytes) -> float | None:
    try:
        return datetime.fromisoformat(text.decode()).timestamp()
    except (ValueError, OverflowError):
        return None
