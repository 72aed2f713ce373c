"""Make spans with OpenTelemetry's SDK.

The SDK's global provider stays unset: FastAPI and other libraries would make spans of their own as soon as there is
one, with query strings in them. Imported only by programs that trace (`setup.py`).
"""

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from processes.tracing.context import TraceContext, convert_context

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

CLOSE_SECONDS = 2.0
"""How long a program that ends waits until the last spans are sent. The SDK itself would wait for 30 s."""
SCOPE = "workmanager"
CLIENT, CONSUMER, PRODUCER = SpanKind.CLIENT, SpanKind.CONSUMER, SpanKind.PRODUCER

Attributes = Mapping[str, "AttributeValue"]


class ChosenIds(RandomIdGenerator):
    """Random ids, unless a span's were chosen before: of a run, which others know before it has ended.

    Attributes:
        chosen: those of the next span; None for random ones.
    """

    chosen: TraceContext | None = None

    def generate_span_id(self) -> int:
        """Return the id of a new span."""
        return super().generate_span_id() if self.chosen is None else int(self.chosen.span_id, 16)

    def generate_trace_id(self) -> int:
        """Return the id of a new trace."""
        return super().generate_trace_id() if self.chosen is None else int(self.chosen.trace_id, 16)


class Tracing:
    """Makes spans. All methods but `close` return at once, whatever the collector does. Not thread-safe.

    Args:
        provider: the SDK's, made with `ids`.
        joins: whether what follows from a span is part of its trace; otherwise, a trace of its own with a link to it.

    Attributes:
        joins: as above.
    """

    def __init__(self, provider: TracerProvider, ids: ChosenIds, *, joins: bool) -> None:
        self.joins = joins
        self._provider = provider
        self._ids = ids
        self._tracer = provider.get_tracer(SCOPE)

    def start(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        *,
        parent: TraceContext | None = None,
        links: Sequence[TraceContext] = (),
        ids: TraceContext | None = None,
        start_ns: int | None = None,
    ) -> Span:
        """Start a span; call its `end`.

        Args:
            parent: the span that it is part of; None for the first one of a trace.
            ids: those of the new span; random ones for None.
            start_ns: when it began, Unix time in nanoseconds; None for now.
        """
        self._ids.chosen = ids
        return self._tracer.start_span(
            _encodable(name),
            _inside(parent),
            kind,
            {key: _encodable(value) if isinstance(value, str) else value for key, value in attributes.items()},
            [Link(_span_context(each)) for each in links],
            start_ns,
        )

    def samples(self, name: str, kind: SpanKind, ids: TraceContext, parent: TraceContext | None) -> bool:
        """Return whether a span with these ids will be recorded."""
        context, trace_id = _inside(parent), int(ids.trace_id, 16)
        result = self._provider.sampler.should_sample(context, trace_id, name, kind)
        return result.decision is Decision.RECORD_AND_SAMPLE

    def close(self) -> None:
        """Send what is left, for a moment at most."""
        thread = threading.Thread(target=self._provider.shutdown, name="traces-close", daemon=True)
        thread.start()
        thread.join(CLOSE_SECONDS)


def context_of(span: Span) -> TraceContext:
    """Return where a span stands."""
    return convert_context(span.get_span_context())


def fail(span: Span, kind: str, description: str = "") -> None:
    """Note that what the span stands for has failed.

    Args:
        kind: what has failed, one of few words: the attribute `error.type`.
    """
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, _encodable(description) or None))


def _encodable(text: str) -> str:
    # Names of queues may be no UTF-8 (`jobqueue.stored_values.name_of`). One such span would cost all that are sent
    # together with it.
    return text.encode("utf-8", "replace").decode()


def _inside(parent: TraceContext | None) -> Context:
    # An empty one, not None: that would be whatever is current.
    return Context() if parent is None else set_span_in_context(NonRecordingSpan(_span_context(parent)), Context())


def _span_context(context: TraceContext) -> SpanContext:
    return SpanContext(
        int(context.trace_id, 16),
        int(context.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([context.state]) if context.state else None,
    )
