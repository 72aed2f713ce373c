"""Export spans, and tell of a collector that is away. Imported only by programs that trace (`setup.py`)."""

import logging
import time
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = logging.getLogger(__name__)


class TellingExporter(SpanExporter):
    """Sends spans with another exporter, and logs when the collector goes away and when it is back."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._away_since: float | None = None
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. Those that the collector has not taken within OTEL_EXPORTER_OTLP_TIMEOUT are lost."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            if self._away_since is None:
                self._away_since = time.monotonic()
                log.warning("event=traces_unavailable: the collector takes no spans")
        elif self._away_since is not None:
            seconds = time.monotonic() - self._away_since
            log.info("event=traces_available after_seconds=%.1f lost=%d", seconds, self._lost)
            self._away_since, self._lost = None, 0
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what the exporter holds back."""
        return self._exporter.force_flush(timeout_millis)
