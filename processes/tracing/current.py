"""Where the running code stands, for the requests that it makes. Needs no package."""

import sys
from collections.abc import Mapping

from processes.tracing.context import convert_context, parse_text


def current_headers() -> Mapping[str, str]:
    """Return the header fields that tell a service which span calls it: OpenTelemetry's current one, or the job's.

    Nothing if there is neither. OpenTelemetry is looked up, not imported: without it, no span is current.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is not None and hasattr(trace, "get_current_span"):  # It may be half imported, by another thread.
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            return convert_context(context).headers
    executor = sys.modules.get("worker_node.executor.running_job")
    running = None if executor is None else executor.current.job
    job = None if running is None or running.trace is None else parse_text(running.trace)
    return {} if job is None else job.headers
