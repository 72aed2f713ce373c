"""Metric families as text: Prometheus' text format, or OpenMetrics, which has examples of a histogram's jobs.

prometheus_client's own writer takes about 5 us for each line, too long for thousands of queues.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Literal

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPEN_METRICS_TYPE
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge", "histogram"]
Sample = tuple[str, float]
"""Labels as `labels_text` writes them, and the value."""


class Exposition:
    """Collects the families of one scrape, as bytes: encoding millions of characters takes longer than joining them."""

    def __init__(self, *, open_metrics: bool = False) -> None:
        self.open_metrics = open_metrics
        self._parts: list[bytes] = []

    @property
    def content_type(self) -> str:
        """The type of the text."""
        return OPEN_METRICS_TYPE if self.open_metrics else TEXT_TYPE

    def begin(self, name: str, kind: Kind, description: str) -> None:
        """Begin a family. The name of a counter has no `_total`."""
        shown = f"{name}_total" if kind == "counter" and not self.open_metrics else name
        self._parts.append(f"# HELP {shown} {description}\n# TYPE {shown} {kind}\n".encode())

    def add(self, lines: Iterable[bytes]) -> None:
        """Add lines of the family, each with its end."""
        self._parts += lines

    def gauge(self, name: str, description: str, value: float) -> None:
        """Add a gauge without labels."""
        self.gauges(name, description, [("", value)])

    def gauges(self, name: str, description: str, samples: Iterable[Sample]) -> None:
        """Add a gauge."""
        self.begin(name, "gauge", description)
        self.add(f"{name}{labels} {float(value)}\n".encode() for labels, value in samples)

    def counter(self, name: str, description: str, value: float) -> None:
        """Add a counter without labels."""
        self.counters(name, description, [("", value)])

    def counters(self, name: str, description: str, samples: Iterable[Sample]) -> None:
        """Add a counter."""
        self.begin(name, "counter", description)
        self.add(f"{name}_total{labels} {float(value)}\n".encode() for labels, value in samples)

    def registry(self, registry: CollectorRegistry) -> None:
        """Add the families of a registry."""
        generate = generate_open_metrics if self.open_metrics else generate_latest
        text: bytes = generate(registry)
        self._parts.append(text.removesuffix(b"# EOF\n"))

    def text(self) -> bytes:
        """Return all of it."""
        return b"".join([*self._parts, b"# EOF\n"] if self.open_metrics else self._parts)


def labels_text(**labels: str) -> str:
    """Return labels with their braces."""
    pairs = [f'{name}="{escaped(value)}"' for name, value in labels.items()]
    return f"{{{','.join(pairs)}}}"


class HistogramLines:
    """The lines of histograms of the same labels and bounds, written with templates: there can be thousands.

    Args:
        names: of the histograms.
        labels: as `labels_text` writes them, at least one.
        bounds: of the buckets.
    """

    def __init__(self, names: Sequence[str], labels: str, bounds: Sequence[float]) -> None:
        labels = labels.replace("%", "%%")
        self._width = len(bounds) + 2
        self._templates = [_template(name, labels, bounds).encode() for name in names]

    def texts(self, numbers: Sequence[float], examples: Iterable[tuple[int, bytes]] = ()) -> list[bytes]:
        """Return the lines of each histogram.

        Args:
            numbers: for each histogram in turn, how many values are in each bucket, not cumulated, and their sum.
            examples: places in `numbers` of buckets, and what is said of one of their values.
        """
        shown: list[float] = []
        for start in range(0, len(numbers), self._width):
            end = start + self._width - 1
            shown += accumulate(numbers[start:end])
            shown += (shown[-1], numbers[end])
        values = orjson.dumps(shown)[1:-1].split(b",")
        for place, said in examples:
            values[place + place // self._width] += said  # there is a count more for each histogram before
        lines = self._width + 1
        return [
            template % (*values[place * lines : (place + 1) * lines],) for place, template in enumerate(self._templates)
        ]


def _template(name: str, labels: str, bounds: Sequence[float]) -> str:
    buckets = [f'{name}_bucket{{{labels[1:-1]},le="{bound}"}} %b\n' for bound in (*bounds, "+Inf")]
    return "".join([*buckets, f"{name}_count{labels} %b\n", f"{name}_sum{labels} %b\n"])


def escaped(value: str) -> str:
    """Return a label's value as it stands between its quotes."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value
