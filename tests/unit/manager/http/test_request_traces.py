"""The spans of requests that submit jobs, and the traces that other requests belong to."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jobqueue.model import NewJob
from manager.http.asgi import FIELDS
from manager.http.request_traces import RequestTraces, traced
from processes.tracing.context import TraceContext
from processes.tracing.spans import ChosenIds, Tracing

CLIENT = TraceContext("a" * 32, "b" * 16, sampled=True)


def answer(
    method: str, path: str, jobs: Sequence[NewJob] = (), traceparent: str = CLIENT.traceparent
) -> tuple[str | None, Sequence[ReadableSpan]]:
    """Have a request answered; return the id of its trace, and the spans."""
    exported, ids = InMemorySpanExporter(), ChosenIds()
    provider = TracerProvider(id_generator=ids, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    traces = RequestTraces(Tracing(provider, ids, joins=False))
    scope = {"method": method, "path": path, FIELDS: {b"traceparent": traceparent.encode()} if traceparent else {}}
    traces.begin(scope)
    for job in jobs:
        traced(scope, job)
    return traces.end(scope, 200), exported.get_finished_spans()


def job(queue: str, function: str) -> NewJob:
    return NewJob("a", function, b"", queue)


def test_a_request_names_the_queue_and_the_function_that_all_its_jobs_have() -> None:
    for jobs, name, told in (
        ([job("a", "f"), job("a", "g")], "send a", {"messaging.destination.name": "a"}),
        ([job("a", "f"), job("b", "f")], "send", {"workmanager.function": "f"}),
        ([job("a", "f"), job("b", "g")], "send", {}),
    ):
        trace_id, (span,) = answer("POST", "/jobs/batch", jobs)
        assert (trace_id, span.name) == (CLIENT.trace_id, name)
        assert span.attributes == {
            "messaging.system": "workmanager",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.batch.message_count": 2,
            "http.response.status_code": 200,
            **told,
        }


@pytest.mark.parametrize(("traceparent", "trace_id"), [(CLIENT.traceparent, CLIENT.trace_id), ("x", None), ("", None)])
def test_a_request_that_submits_nothing_has_no_span_but_belongs_to_its_clients_trace(
    traceparent: str, trace_id: str | None
) -> None:
    assert answer("GET", "/jobs", traceparent=traceparent) == (trace_id, ())
