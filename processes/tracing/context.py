"""Where a span stands: the ids that W3C Trace Context passes on in the fields `traceparent` and `tracestate`."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_STATE_CHARS = 512
"""Of `tracestate`. A longer one is dropped, as the standard allows."""

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE = re.compile(r"[!-~](?:[ -~]*[!-~])?")


class TraceContext(NamedTuple):
    """A span, as others know it.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 of them.
        sampled: whether the span is recorded.
        state: the field `tracestate`; '' for none.
    """

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The field of that name."""
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"

    @property
    def text(self) -> str:
        """Both fields, as a job's record holds them."""
        return f"{self.traceparent} {self.state}" if self.state else self.traceparent

    @property
    def headers(self) -> dict[str, str]:
        """Both fields, for a request."""
        fields = {"traceparent": self.traceparent}
        return fields | {"tracestate": self.state} if self.state else fields


def parse_context(traceparent: str, tracestate: str = "") -> TraceContext | None:
    """Return what the two fields say; None if they say nothing that the standard allows."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or (match[1] == "00" and match[5]):
        return None
    is_usable = len(tracestate) <= MAX_STATE_CHARS and _STATE.fullmatch(tracestate)
    return TraceContext(match[2], match[3], bool(int(match[4], 16) & 1), tracestate if is_usable else "")


def parse_text(text: str) -> TraceContext | None:
    """Return what `TraceContext.text` was made of; None if it is none."""
    traceparent, _, tracestate = text.partition(" ")
    return parse_context(traceparent, tracestate)


def convert_context(context: Any) -> TraceContext:
    """Return a `SpanContext` of OpenTelemetry as ours."""
    return TraceContext(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        bool(context.trace_flags & 1),
        context.trace_state.to_header(),
    )


def context_of_request(fields: Mapping[bytes, bytes]) -> TraceContext | None:
    """Return where a request comes from, by its header fields; None if it does not say."""
    traceparent = fields.get(b"traceparent")
    if traceparent is None:
        return None
    return parse_context(traceparent.decode("latin-1"), fields.get(b"tracestate", b"").decode("latin-1"))
