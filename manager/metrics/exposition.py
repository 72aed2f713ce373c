"""Metric families as text: Prometheus' text format, or OpenMetrics, which has examples of a histogram's jobs.

prometheus_client's own writer takes about 5 us for each line, too long for thousands of queues.
"""

from collections.abc import Iterable, Sequence
from functools import cache
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


Said = tuple[int, bytes, float, float]
"""An exemplar: the place of its bucket in what `HistogramLines.texts` is given, a job's id, seconds, Unix time."""


class HistogramLines:
    """The lines of histograms of the same labels and bounds: there can be thousands.

    What they have in common is kept once: to read as much text from memory as is written would take longer.

    Args:
        names: of the histograms.
        labels: as `labels_text` writes them, at least one.
        bounds: of the buckets.
    """

    def __init__(self, names: Sequence[str], labels: str, bounds: Sequence[float]) -> None:
        self._width = len(bounds) + 2
        self._parts = _parts(tuple(names), tuple(bounds))
        self._labels = [labels[1:-1].encode()] * (self._width + 1)

    def texts(self, numbers: Sequence[float], examples: Sequence[Said] = ()) -> list[bytes]:
        """Return the lines of each histogram.

        Args:
            numbers: for each histogram in turn, how many values are in each bucket, not cumulated, and their sum.
        """
        width, lines = self._width, self._width + 1
        shown: list[float] = []
        for start in range(0, len(numbers), width):
            end = start + width - 1
            shown += accumulate(numbers[start:end])
            shown += (shown[-1], numbers[end])
        for _, _, seconds, at in examples:
            shown += (seconds, at)
        values = orjson.dumps(shown)[1:-1].split(b",")
        said = lines * len(self._parts)
        for place, job_id, _, _ in examples:
            # There is a count more for each histogram before.
            values[place + place // width] += b' # {job_id="%b"} %b %b' % (job_id, values[said], values[said + 1])
            said += 2
        texts, start = [], 0
        for parts in self._parts:
            written = [*parts]
            written[1::4] = self._labels
            written[3::4] = values[start : start + lines]
            texts.append(b"".join(written))
            start += lines
        return texts


@cache
def _parts(names: Sequence[str], bounds: Sequence[float]) -> Sequence[Sequence[bytes]]:
    return [_parts_of_one(name, bounds) for name in names]


def _parts_of_one(name: str, bounds: Sequence[float]) -> Sequence[bytes]:
    """Return for each line of a histogram its begin, a place for the labels, what follows these, and a place for the
    value; at last the end of the last line.
    """
    begins = [(f"{name}_bucket{{", f',le="{bound}"}} ') for bound in (*bounds, "+Inf")]
    begins += [(f"{name}_count{{", "} "), (f"{name}_sum{{", "} ")]
    parts: list[bytes] = []
    for begin, rest in begins:
        parts += ((f"\n{begin}" if parts else begin).encode(), b"", rest.encode(), b"")
    return (*parts, b"\n")


def escaped(value: str) -> str:
    """Return a label's value as it stands between its quotes."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value
