"""Metric families as text: Prometheus' text format, or OpenMetrics, which has examples of a histogram's jobs.

prometheus_client's own writer takes about 5 us for each line, too long for thousands of queues.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPEN_METRICS_TYPE
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]
Sample = tuple[str, float]
"""Labels as `labels_text` writes them, and the value."""


class Exposition:
    """Collects the families of one scrape."""

    def __init__(self, *, open_metrics: bool = False) -> None:
        self.open_metrics = open_metrics
        self._parts: list[str] = []

    @property
    def content_type(self) -> str:
        """The type of the text."""
        return OPEN_METRICS_TYPE if self.open_metrics else TEXT_TYPE

    def begin(self, name: str, kind: Kind, description: str) -> None:
        """Begin a family. The name of a counter has no `_total`."""
        shown = f"{name}_total" if kind == "counter" and not self.open_metrics else name
        self._parts.append(f"# HELP {shown} {description}\n# TYPE {shown} {kind}\n")

    def add(self, lines: Iterable[str]) -> None:
        """Add lines of the family, each with its end."""
        self._parts += lines

    def gauge(self, name: str, description: str, value: float) -> None:
        """Add a gauge without labels."""
        self.gauges(name, description, [("", value)])

    def gauges(self, name: str, description: str, samples: Iterable[Sample]) -> None:
        """Add a gauge."""
        self.begin(name, "gauge", description)
        self.add(f"{name}{labels} {float(value)}\n" for labels, value in samples)

    def counter(self, name: str, description: str, value: float) -> None:
        """Add a counter without labels."""
        self.counters(name, description, [("", value)])

    def counters(self, name: str, description: str, samples: Iterable[Sample]) -> None:
        """Add a counter."""
        self.begin(name, "counter", description)
        self.add(f"{name}_total{labels} {float(value)}\n" for labels, value in samples)

    def registry(self, registry: CollectorRegistry) -> None:
        """Add the families of a registry."""
        generate = generate_open_metrics if self.open_metrics else generate_latest
        text: bytes = generate(registry)
        self._parts.append(text.decode().removesuffix("# EOF\n"))

    def text(self) -> bytes:
        """Return all of it."""
        end = "# EOF\n" if self.open_metrics else ""
        return f"{''.join(self._parts)}{end}".encode()


def labels_text(**labels: str) -> str:
    """Return labels with their braces."""
    pairs = [f'{name}="{escaped(value)}"' for name, value in labels.items()]
    return f"{{{','.join(pairs)}}}"


class HistogramLines:
    """The lines of a histogram's series, written with one template: there can be thousands.

    Args:
        labels: as `labels_text` writes them, at least one.
        bounds: of its buckets.
    """

    def __init__(self, name: str, labels: str, bounds: Sequence[float]) -> None:
        labels = labels.replace("%", "%%")
        buckets = [f'{name}_bucket{{{labels[1:-1]},le="{bound}"}} %d' for bound in (*bounds, "+Inf")]
        self._lines = [*buckets, f"{name}_count{labels} %d", f"{name}_sum{labels} %r\n"]
        self._plain = self._template()
        self._with_examples: dict[int, str] = {}

    def text(self, buckets: Sequence[float], total: float, example: tuple[int, str] | None = None) -> str:
        """Return the lines.

        Args:
            buckets: how many values are in each, not cumulated.
            total: the sum of all values.
            example: number of a bucket, and what is said of one of its values.
        """
        numbers = tuple(accumulate(buckets))
        if example is None:
            return self._plain % (*numbers, numbers[-1], float(total))
        bucket, said = example
        if bucket not in self._with_examples:
            self._with_examples[bucket] = self._template(bucket)
        before, after = numbers[: bucket + 1], numbers[bucket + 1 :]
        return self._with_examples[bucket] % (*before, said, *after, numbers[-1], float(total))

    def _template(self, bucket: int | None = None) -> str:
        lines = [f"{line} # %s" if place == bucket else line for place, line in enumerate(self._lines)]
        return "\n".join(lines)


def escaped(value: str) -> str:
    """Return a label's value as it stands between its quotes."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value
