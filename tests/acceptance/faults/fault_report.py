"""Figures of a run and complaints about broken promises. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tests.acceptance.faults.catalogue import CountSilence, FaultKind
from tests.acceptance.faults.delivery_ledger import Verdict


@dataclass(frozen=True, slots=True)
class FaultReport:
    """The outcome of one fault: the fields of its JSON line. All times are in seconds.

    Attributes:
        struck: names of the targets.
        lasted_seconds: time until the cause was gone; 0 if injecting it failed.
        whole_after_seconds: time from then until the system was healthy; None if it did not recover in time.
        without_writes_seconds: longest time in which a shard acknowledged no write, from the start of the fault to the
            recovery.
        resumed_after_seconds: time until every shard acknowledged a write after the cause was gone (or more).
        slowest_enqueue_seconds: longest request, with its retries.
        most_attempts: most attempts of one request.
        trouble: error of the fault itself or of the recovery, or ''.
    """

    fault: str
    struck: Sequence[str]
    lasted_seconds: float
    whole_after_seconds: float | None
    without_writes_seconds: float
    resumed_after_seconds: float
    slowest_enqueue_seconds: float
    most_attempts: int
    trouble: str

    @property
    def recovered(self) -> bool:
        return not self.trouble

    def to_json(self) -> dict[str, Any]:
        """Return the JSON line."""
        rounded = {name: round(value, 1) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return {**rounded, "recovered": self.recovered}

    def complaints(self, kind: FaultKind, max_silence_seconds: float) -> list[str]:
        """Return the broken promises."""
        found = [self.trouble] if self.trouble else []
        silence_seconds = {
            CountSilence.FROM_START: self.without_writes_seconds,
            CountSilence.FROM_END: self.resumed_after_seconds,
            CountSilence.NEVER: 0.0,
        }[kind.counts_silence]
        if silence_seconds > max_silence_seconds:
            found.append(f"{silence_seconds:.1f} s without writes")
        if kind.max_attempts is not None and self.most_attempts > kind.max_attempts:
            found.append(f"a request had to be sent {self.most_attempts} times")
        return [f"{self.fault}: {complaint}" for complaint in found]


def figures_by_fault(reports: Sequence[FaultReport]) -> dict[str, dict[str, float]]:
    """Return for each kind of fault its number and the median and longest time without writes."""
    kinds: dict[str, list[FaultReport]] = {}
    for report in reports:
        kinds.setdefault(report.fault, []).append(report)
    return {
        name: {
            "times": len(same),
            "without_writes_median_seconds": round(median(report.without_writes_seconds for report in same), 1),
            "without_writes_longest_seconds": round(max(report.without_writes_seconds for report in same), 1),
            "resumed_longest_seconds": round(max(report.resumed_after_seconds for report in same), 1),
        }
        for name, same in sorted(kinds.items())
    }


def text_table(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Return the figures as a table."""
    rows: list[tuple[str, ...]] = [
        ("fault", "times", "without writes: median", "longest", "writes again after its end")
    ]
    rows += [
        (name, f"{row['times']}", *(f"{row[column]:.1f} s" for column in list(row)[1:]))
        for name, row in figures.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def complaints(
    reports: Sequence[FaultReport], kinds: Mapping[str, FaultKind], verdict: Verdict, max_silence_seconds: float
) -> list[str]:
    """Return all broken promises of a run, in words."""
    found = [
        complaint for report in reports for complaint in report.complaints(kinds[report.fault], max_silence_seconds)
    ]
    for name in ("lost", "wrong", "doubled"):
        ids = getattr(verdict, name)
        if ids:
            found.append(f"{len(ids)} {name}: {', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}")
    return found
