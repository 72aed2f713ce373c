"""The spans of runs, as the SDK makes them."""

import time

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, ParentBased, Sampler

from jobqueue.claimed_job import ClaimedJob
from jobqueue.lifecycle.finish import Failed, Finished, Outcome, Retried, Stopped
from jobqueue.model import FailureReason
from jobqueue.traces import run_context
from processes.tracing.context import TraceContext
from processes.tracing.spans import ChosenIds, Tracing
from tests.unit.worker_node.claimed_job import claimed_job
from worker_node.run_spans import RunSpans

SUBMISSION = TraceContext("a" * 32, "b" * 16, sampled=True, state="vendor=1")
PARENTS = (("first", "token-1"), ("second", "token-2"))


class Spans:
    """The spans of a worker's runs, and those that were exported."""

    def __init__(self, *, joins: bool, sampler: Sampler = DEFAULT_ON) -> None:
        self.exported = InMemorySpanExporter()
        ids = ChosenIds()
        provider = TracerProvider(sampler=sampler, id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exported))
        self.runs = RunSpans(Tracing(provider, ids, joins=joins), "worker-1")

    def end(self, *outcomes: Outcome) -> tuple[ReadableSpan, ...]:
        """Return the spans of outcomes, in order of their beginning."""
        self.runs.end(outcomes)
        return tuple(sorted(self.exported.get_finished_spans(), key=lambda span: span.start_time or 0))


def _job(**fields: object) -> ClaimedJob:
    return claimed_job(**{"trace": SUBMISSION.text.encode(), **fields})


@pytest.mark.parametrize("joins", [True, False])
def test_a_span_stands_where_its_executor_was_told_before(joins: bool) -> None:
    spans, job = Spans(joins=joins), _job()
    told = spans.runs.context_of(job)
    (span,) = spans.end(Finished(job, "noop", 0.5, b""))
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == told.trace_id
    assert f"{span.context.span_id:016x}" == told.span_id
    assert told.sampled
    if joins:
        assert span.parent is not None
        assert (f"{span.parent.span_id:016x}", span.links) == (SUBMISSION.span_id, ())
        assert told.trace_id == SUBMISSION.trace_id
        assert span.context.trace_state.to_header() == SUBMISSION.state
    else:
        assert span.parent is None
        assert [f"{link.context.trace_id:032x}" for link in span.links] == [SUBMISSION.trace_id]


@pytest.mark.parametrize("trace", [b"", b"garbage", b"\xff\xfe"])
@pytest.mark.parametrize("joins", [True, False])
def test_a_job_without_a_trace_begins_one(joins: bool, trace: bytes) -> None:
    (span,) = Spans(joins=joins).end(Finished(_job(trace=trace), "noop", 0.5, b""))
    assert (span.parent, span.links) == (None, ())


@pytest.mark.parametrize("joins", [True, False])
def test_a_run_is_linked_to_the_runs_that_it_has_waited_for(joins: bool) -> None:
    lines = [SUBMISSION.text, f"first token-1 {SUBMISSION.text}", f"second token-2 {SUBMISSION.text}", "spoiled", ""]
    (span,) = Spans(joins=joins).end(Finished(_job(trace="\n".join(lines).encode()), "noop", 0.5, b""))
    runs = [run_context(parent, token, SUBMISSION, joins=joins) for parent, token in PARENTS]
    expected = runs if joins else [SUBMISSION, *runs]
    assert [f"{link.context.span_id:016x}" for link in span.links] == [each.span_id for each in expected]


def test_runs_of_one_executor_follow_each_other() -> None:
    before_ns = time.time_ns()
    outcomes = [Finished(_job(id=job_id), "noop", seconds, b"") for job_id, seconds in (("a", 3.0), ("b", 2.0))]
    first, second = Spans(joins=False).end(*outcomes)
    assert [(span.attributes or {})["messaging.message.id"] for span in (first, second)] == ["a", "b"]
    assert first.end_time == second.start_time
    assert first.start_time is not None
    assert second.end_time is not None
    assert before_ns <= second.end_time <= time.time_ns()
    assert second.end_time - first.start_time == 5_000_000_000


@pytest.mark.parametrize(
    ("outcome", "kind", "description"),
    [
        (Failed(_job(), "f", 1.0, FailureReason.TIMEOUT, "it was killed"), "timeout", "it was killed"),
        (
            Failed(_job(), "f", 1.0, FailureReason.EXCEPTION, "Traceback (most recent call last):\nValueError: no\n"),
            "exception",
            "ValueError: no",
        ),
        (Retried(_job(), "f", 1.0, 3, (1,), False, b""), "exception", "the function has asked for another run"),
        (Stopped(_job(), "f", 1.0), "stopped", "the job was cancelled while it ran"),
    ],
)
def test_a_run_that_did_not_finish_says_why(outcome: Outcome, kind: str, description: str) -> None:
    (span,) = Spans(joins=False).end(outcome)
    assert span.attributes is not None
    assert (span.attributes["error.type"], span.status.is_ok, span.status.description) == (kind, False, description)


def test_the_executor_is_told_if_the_run_is_not_sampled() -> None:
    spans = Spans(joins=False, sampler=ALWAYS_OFF)
    assert not spans.runs.context_of(_job()).sampled
    assert spans.end(Finished(_job(), "noop", 0.5, b"")) == ()
    joined = Spans(joins=True, sampler=ParentBased(DEFAULT_ON))
    unsampled = _job(trace=SUBMISSION._replace(sampled=False).text.encode())
    assert not joined.runs.context_of(unsampled).sampled
    assert joined.end(Finished(unsampled, "noop", 0.5, b"")) == ()


def test_the_wait_ends_with_the_beginning() -> None:
    since = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - 100)).encode()
    (span,) = Spans(joins=False).end(Finished(_job(since=since), "noop", 40.0, b""))
    assert span.attributes is not None
    waited = span.attributes["workmanager.wait_seconds"]
    assert isinstance(waited, float)
    assert 59 <= waited <= 70


def test_a_job_of_a_queue_whose_name_is_not_utf_8_costs_no_other_its_span() -> None:
    failed = Failed(_job(queue="q\udcff", id="a\udcff"), "noop", 0.1, FailureReason.REJECTED, "ValueError: \ud800")
    (span,) = Spans(joins=False).end(failed)
    encode_spans([span])
    assert (span.name, span.status.description) == ("process q?", "ValueError: ?")
