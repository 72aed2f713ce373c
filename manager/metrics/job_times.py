"""Histograms of how long jobs wait and run. Each pair's text is kept until its numbers have changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from jobqueue.lifecycle.times import BOUNDS, WIDTH
from manager.metrics.exposition import Exposition, HistogramLines, Said, escaped, labels_text
from manager.metrics.stored_times import decode_pair, decode_times, is_example

_FAMILIES = (
    ("workmanager_job_waiting_seconds", "Time from when a job was enqueued last until it ended, without that it ran"),
    ("workmanager_job_service_seconds", "Time that a job ran, once for each attempt"),
    ("workmanager_job_end_to_end_seconds", "Time from when a job was first to run until its end"),
)
SLICE = 100
"""Pairs whose text is written at a time, which takes about a millisecond."""
Stored = Sequence[bytes | None]
"""What the shards hold of a pair."""


@dataclass(slots=True)
class _Shown:
    """A pair's text, by histogram, and what it was made of."""

    lines: HistogramLines
    stored: Stored = ()
    open_metrics: bool = False
    texts: list[bytes] = field(default_factory=list)


class JobTimesText:
    """The text of the histograms."""

    def __init__(self) -> None:
        self._pairs: dict[bytes, _Shown] = {}
        self._begun = 0
        self._ready: tuple[Sequence[Mapping[bytes, bytes]], bool] | None = None

    def prepare(self, shards: Sequence[Mapping[bytes, bytes]], *, open_metrics: bool) -> Iterator[None]:
        """Write the text of what has changed, a slice each time, so that `show` finds it.

        Args:
            shards: what `read_times` returns for each shard.
        """
        self._begun += 1
        number, self._ready = self._begun, None
        fields = dict.fromkeys(stored for shard in shards for stored in shard)
        pairs = {stored: self._pairs.get(stored) or _new(stored) for stored in fields}
        self._pairs = known = {stored: pair for stored, pair in pairs.items() if pair is not None}
        written = 0
        for stored, pair in known.items():
            values = [shard.get(stored) for shard in shards]
            if pair.stored != values or pair.open_metrics != open_metrics:
                pair.stored, pair.open_metrics = values, open_metrics
                pair.texts = _texts(pair.lines, values, open_metrics)
                written += 1
                if written % SLICE == 0:
                    yield
        if number == self._begun:  # No other scrape, which may want the other format, has begun between two slices.
            self._ready = (shards, open_metrics)

    def show(self, shown: Exposition, shards: Sequence[Mapping[bytes, bytes]]) -> None:
        """Add the histograms. Arguments as for `prepare`."""
        if self._ready != (shards, shown.open_metrics):
            for _ in self.prepare(shards, open_metrics=shown.open_metrics):
                pass
        for number, (name, description) in enumerate(_FAMILIES):
            shown.begin(name, "histogram", description)
            shown.add(pair.texts[number] for pair in self._pairs.values())


def _new(stored: bytes) -> _Shown | None:
    pair = decode_pair(stored)
    if pair is None:
        return None
    queue, function = pair
    labels = labels_text(queue=queue, function=function)
    return _Shown(HistogramLines([name for name, _ in _FAMILIES], labels, BOUNDS))


def _texts(lines: HistogramLines, stored: Stored, open_metrics: bool) -> list[bytes]:
    shards = [decode_times(value) for value in stored if value is not None]
    numbers, examples = shards[0]
    if len(shards) > 1:
        numbers = [*map(sum, zip(*(each for each, _ in shards), strict=True))]
        examples = [
            max(filter(is_example, those), key=itemgetter(3), default=0)
            for those in zip(*(each for _, each in shards), strict=True)
        ]
    return lines.texts(numbers, _said(examples) if open_metrics else ())


def _said(examples: Sequence[Any]) -> list[Said]:
    return [
        (histogram * WIDTH + example[0], escaped(example[1][:64]).encode(), example[2], example[3])
        for histogram, example in enumerate(examples)
        if is_example(example)
    ]
