"""What the processes of one manager count, so that a scrape of any of them can tell the sums."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from prometheus_client import ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

_EARLIEST = "process_start_time_seconds"


@dataclass(slots=True)
class Tally:
    """Requests of one method, route and status.

    Attributes:
        by_bucket: number of requests per bucket of `DURATION_BUCKETS`, not cumulated; the last number counts those
            beyond the last bound.
        seconds: total duration.
    """

    by_bucket: list[int]
    seconds: float = 0.0

    def add(self, other: Self) -> None:
        """Count the other's requests, too."""
        self.by_bucket = [a + b for a, b in zip(self.by_bucket, other.by_bucket, strict=True)]
        self.seconds += other.seconds


@dataclass(slots=True)
class Counted:
    """Counts of one process, or of several.

    Attributes:
        requests: by method, route and status.
        numbers: other counts, by name.
        streams: streams of events that are open.
        process: samples of the process (processor seconds, memory, open files), by the names of their metrics.
    """

    requests: dict[tuple[str, str, int], Tally] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    streams: int = 0
    process: dict[str, float] = field(default_factory=dict)

    def add(self, other: Self) -> None:
        """Count what the other counted, too."""
        for kind, tally in other.requests.items():
            self.requests.setdefault(kind, Tally([0] * len(tally.by_bucket))).add(tally)
        for name, number in other.numbers.items():
            self.numbers[name] = self.numbers.get(name, 0) + number
        self.streams += other.streams
        for name, value in other.process.items():
            known = self.process.get(name)
            self.process[name] = value if known is None else min(known, value) if name == _EARLIEST else known + value

    def as_json(self) -> dict[str, Any]:
        """Return it for another process."""
        requests = [[*kind, tally.by_bucket, tally.seconds] for kind, tally in self.requests.items()]
        return {"requests": requests, "numbers": self.numbers, "streams": self.streams, "process": self.process}

    @classmethod
    def from_json(cls, shown: Mapping[str, Any]) -> Self:
        """Return what `as_json` has shown."""
        requests = {(row[0], row[1], row[2]): Tally(row[3], row[4]) for row in shown["requests"]}
        return cls(requests, dict(shown["numbers"]), shown["streams"], dict(shown["process"]))

    def after_the_end(self) -> Self:
        """Return what still counts once the process has ended, so that no counter falls."""
        totals = {name: value for name, value in self.process.items() if name.endswith("_total")}
        return type(self)(self.requests, self.numbers, process=totals)


class ProcessFamilies(Collector):
    """prometheus_client's metrics of a process, summed over the processes of a manager.

    Attributes:
        summed: values to show instead of this process's own.
    """

    def __init__(self) -> None:
        self._own = ProcessCollector(registry=None)
        self.summed: Mapping[str, float] = {}

    def samples(self) -> dict[str, float]:
        """Return those of this process."""
        return {sample.name: sample.value for family in self._own.collect() for sample in family.samples}

    def collect(self) -> list[Metric]:
        """Return the families, for the registry."""
        families = list(self._own.collect())
        for family in families:
            family.samples = [each._replace(value=self.summed.get(each.name, each.value)) for each in family.samples]
        return families
