"""Makes the span of a traced job's run OpenTelemetry's current one, if the job's code imports OpenTelemetry.

The agent makes the span itself (`worker_node/run_spans.py`). The import takes longer than most jobs, so it is left to
those that want it.
"""

from contextvars import Context
from typing import Any

from processes.tracing.context import parse_text
from worker_node.executor.import_watch import ImportWatch
from worker_node.executor.running_job import current


class TraceSupport:
    """Tells OpenTelemetry which span is current."""

    def __init__(self, imports: ImportWatch) -> None:
        self._trace: Any = None
        imports.call("opentelemetry.trace", self._note_import)

    def begin(self, trace: str, context: Context) -> None:
        """Make a span current in the context in which its job is about to run."""
        if self._trace is not None:
            context.run(self._attach, trace)

    def _note_import(self, module: Any) -> None:
        """Note that OpenTelemetry has just been imported, perhaps by the running job, in whose context this runs."""
        self._trace = module
        if current.job is not None and current.job.trace is not None:
            self._attach(current.job.trace)

    def _attach(self, trace: str) -> None:
        from opentelemetry.context import attach

        given = parse_text(trace)
        if given is None:
            return
        module = self._trace
        span = module.SpanContext(
            int(given.trace_id, 16),
            int(given.span_id, 16),
            is_remote=True,
            trace_flags=module.TraceFlags(given.sampled),
            trace_state=module.TraceState.from_header([given.state]) if given.state else None,
        )
        # Never detached: the context ends with the job.
        attach(module.set_span_in_context(module.NonRecordingSpan(span)))
