"""Set up tracing, if it is asked for: OTLP over HTTP to a collector, as the variables OTEL_* say.

The SDK sends from a thread, and keeps a bounded number of spans meanwhile (OTEL_BSP_MAX_QUEUE_SIZE): if the collector
is away, spans are dropped.
"""

import logging
import os
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from processes.tracing.spans import Tracing

OFF, LINKED, JOINED = "off", "linked", "joined"
Traces = Literal["off", "linked", "joined"]
"""Nothing is traced; each run of a job is a trace of its own, with a link to the submission; or a part of its trace."""

log = logging.getLogger(__name__)


def open_tracing(traces: Traces, program: str) -> "Tracing | None":
    """Return what makes spans; None if nothing is traced, or if the SDK is missing or turned off.

    Args:
        program: the name of the service, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES names it.
    """
    if traces == OFF or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from processes.tracing.exporting import TellingExporter
        from processes.tracing.spans import ChosenIds, Tracing
    except ImportError as error:
        log.error("event=traces_off error=%r: install workmanager[otel]", str(error))
        return None
    # It logs each attempt that fails.
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    ids = ChosenIds()
    resource = Resource.create({} if _is_named() else {SERVICE_NAME: program})
    provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(TellingExporter(OTLPSpanExporter())))
    log.info("event=traces_on traces=%s service=%s", traces, resource.attributes[SERVICE_NAME])
    return Tracing(provider, ids, joins=traces == JOINED)


def _is_named() -> bool:
    return bool(os.environ.get("OTEL_SERVICE_NAME")) or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
