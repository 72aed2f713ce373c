"""What came of a run: figures, and what was wrong. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from tests.acceptance.faults.catalogue import CountSilence, FaultKind
from tests.acceptance.faults.delivery_ledger import Verdict


@dataclass(frozen=True, slots=True)
class FaultReport:
    """What one fault did; every time is in seconds.

    Attributes:
        struck: whom it hit.
        lasted_seconds: until its cause was gone; 0 where that failed.
        whole_after_seconds: after that, until all was as before; None where it was not in time.
        without_writes_seconds: the longest time in which one of the shards acknowledged nothing, from the fault's begin
            to the recovery.
        resumed_after_seconds: until each shard had acknowledged something after the cause was gone (or longer).
        slowest_enqueue_seconds, most_attempts: of one request, with its repeats.
        trouble: what went wrong with the fault itself or the recovery, or ''.
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
        """As it is printed."""
        rounded = {name: round(value, 1) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return {**rounded, "recovered": self.recovered}

    def complaints(self, kind: FaultKind, resume_seconds: float) -> list[str]:
        """Which promise it broke."""
        found = [self.trouble] if self.trouble else []
        silent = {
            CountSilence.FROM_START: self.without_writes_seconds,
            CountSilence.FROM_END: self.resumed_after_seconds,
            CountSilence.NEVER: 0.0,
        }[kind.counts_silence]
        if silent > resume_seconds:
            found.append(f"{silent:.1f} s without writes")
        if kind.max_attempts is not None and self.most_attempts > kind.max_attempts:
            found.append(f"a request had to be sent {self.most_attempts} times")
        return [f"{self.fault}: {complaint}" for complaint in found]


def figures_by_fault(reports: Sequence[FaultReport]) -> dict[str, dict[str, float]]:
    """For each kind of fault how often it was, and the median and the longest time without writes."""
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
    """The same for people to read."""
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
    reports: Sequence[FaultReport], kinds: Mapping[str, FaultKind], verdict: Verdict, resume_seconds: float
) -> list[str]:
    """All that was wrong, in words."""
    found = [complaint for report in reports for complaint in report.complaints(kinds[report.fault], resume_seconds)]
    for name in ("lost", "wrong", "doubled"):
        ids = getattr(verdict, name)
        if ids:
            found.append(f"{len(ids)} {name}: {', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}")
    return found
