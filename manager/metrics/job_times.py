"""Histograms of how long jobs wait and run. Each pair's text is kept until its numbers have changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

from jobqueue.lifecycle.times import BOUNDS, HISTOGRAMS
from manager.metrics.exposition import Exposition, HistogramLines, labels_text
from manager.metrics.stored_times import decode_pair, decode_times

_FAMILIES = (
    ("workmanager_job_waiting_seconds", "Time from when a job was enqueued last until it ended, without that it ran"),
    ("workmanager_job_service_seconds", "Time that a job ran, once for each attempt"),
    ("workmanager_job_end_to_end_seconds", "Time from when a job was first to run until its end"),
)
Stored = Sequence[bytes | None]
"""What the shards hold of a pair."""


@dataclass(slots=True)
class _Shown:
    """A pair's text, by histogram, and what it was made of."""

    lines: list[HistogramLines]
    stored: Stored = ()
    open_metrics: bool = False
    texts: list[str] = field(default_factory=list)


class JobTimesText:
    """The text of the histograms."""

    def __init__(self) -> None:
        self._pairs: dict[bytes, _Shown] = {}

    def show(self, shown: Exposition, shards: Sequence[Mapping[bytes, bytes]]) -> None:
        """Add the histograms.

        Args:
            shards: what `read_times` returns for each shard.
        """
        fields = dict.fromkeys(stored for shard in shards for stored in shard)
        pairs = {stored: self._pairs.get(stored) or _new(stored) for stored in fields}
        self._pairs = {stored: pair for stored, pair in pairs.items() if pair is not None}
        for stored, pair in self._pairs.items():
            values = [shard.get(stored) for shard in shards]
            if pair.stored != values or pair.open_metrics != shown.open_metrics:
                pair.stored, pair.open_metrics = values, shown.open_metrics
                pair.texts = _texts(pair.lines, values, shown.open_metrics)
        for number, (name, description) in enumerate(_FAMILIES):
            shown.begin(name, "histogram", description)
            shown.add(pair.texts[number] for pair in self._pairs.values())


def _new(stored: bytes) -> _Shown | None:
    pair = decode_pair(stored)
    if pair is None:
        return None
    queue, function = pair
    labels = labels_text(queue=queue, function=function)
    return _Shown([HistogramLines(name, labels, BOUNDS) for name, _ in _FAMILIES])


def _texts(lines: Sequence[HistogramLines], stored: Stored, open_metrics: bool) -> list[str]:
    times = reduce(add, [decode_times(value) for value in stored if value is not None])
    texts = []
    for histogram in range(len(HISTOGRAMS)):
        example = times.examples[histogram] if open_metrics else None
        said = None
        if example is not None and 0 <= example.bucket <= len(BOUNDS):
            said = example.bucket, f"{labels_text(job_id=example.job_id[:64])} {example.seconds} {example.at}"
        texts.append(lines[histogram].text(times.buckets(histogram), times.total_seconds(histogram), said))
    return texts
