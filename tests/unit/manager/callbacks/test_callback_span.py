"""The spans of attempts to deliver a callback."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jobqueue.callbacks.entry import Entry, entry_of
from jobqueue.callbacks.outbox import Attempt
from jobqueue.traces import run_context
from manager.callbacks.callback_span import CallbackSpan
from processes.tracing.context import TraceContext, parse_context
from processes.tracing.spans import ChosenIds, Tracing

SUBMISSION = TraceContext("a" * 32, "b" * 16, sampled=True)
RUN = run_context("job", "token", SUBMISSION, joins=True)


def _entry(**fields: str) -> Entry:
    stored = {"job": "job", "host": "[::1]:8443", "url": "https://[::1]:8443/secret", "tries": "2", **fields}
    return entry_of("job_1_finished", [text.encode() for pair in stored.items() for text in pair])


def _span(entry: Entry, attempt: Attempt, *, joins: bool = True) -> tuple[ReadableSpan, TraceContext | None]:
    exported, ids = InMemorySpanExporter(), ChosenIds()
    provider = TracerProvider(id_generator=ids, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    span = CallbackSpan(Tracing(provider, ids, joins=joins), entry, "POST")
    told = parse_context(span.headers["traceparent"])
    span.end(attempt)
    (made,) = exported.get_finished_spans()
    return made, told


@pytest.mark.parametrize(("run", "cause"), [("token", RUN), ("", SUBMISSION)])
def test_an_attempt_is_part_of_the_run_or_of_the_submission_if_there_was_none(run: str, cause: TraceContext) -> None:
    span, told = _span(_entry(span=SUBMISSION.text, run=run), Attempt("", 1, 204))
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (cause.trace_id, cause.span_id)
    assert span.context is not None
    assert told == TraceContext(cause.trace_id, f"{span.context.span_id:016x}", sampled=True)


@pytest.mark.parametrize("joins", [True, False])
def test_a_callback_of_a_job_without_a_trace_begins_one(joins: bool) -> None:
    span, _ = _span(_entry(), Attempt("", 1, 204), joins=joins)
    assert (span.parent, span.links) == (None, ())


def test_a_span_names_the_host_and_not_the_url() -> None:
    span, _ = _span(_entry(), Attempt("", 1, 204))
    assert span.attributes == {
        "http.request.method": "POST",
        "http.request.resend_count": 2,
        "http.response.status_code": 204,
        "server.address": "::1",
        "server.port": 8443,
        "workmanager.callback_id": "job_1_finished",
        "messaging.message.id": "job",
    }


@pytest.mark.parametrize(
    ("attempt", "kind"), [(Attempt("", 1, 503), "503"), (Attempt("", 1, None, "ConnectError: away"), "no_answer")]
)
def test_an_attempt_that_failed_says_why(attempt: Attempt, kind: str) -> None:
    span, _ = _span(_entry(), attempt)
    assert span.attributes is not None
    assert (span.status.is_ok, span.attributes["error.type"]) == (False, kind)
