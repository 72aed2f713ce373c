"""Job functions that make spans of their own, or fail."""

from pathlib import Path


def nothing() -> None:
    """Do nothing."""


def own_span(url: str) -> str:
    """Make a span with the SDK of the job's own, and return the id of the trace."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "the-job"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    with provider.get_tracer("tests").start_as_current_span("inner") as span:
        trace_id = f"{span.get_span_context().trace_id:032x}"
    provider.shutdown()
    return trace_id


def current_span() -> str | None:
    """Return the id of the current span's trace; None if there is none."""
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def submit(url: str, job_id: str) -> None:
    """Submit another job."""
    from workmanager.client import Client

    with Client([url]) as client:
        client.submit("noop", id=job_id)


def fail_once(path: str) -> None:
    """Fail, unless it has been called before."""
    mark = Path(path)
    if not mark.exists():
        mark.touch()
        raise ValueError("the first time")
