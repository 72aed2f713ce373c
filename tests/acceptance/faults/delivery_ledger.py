"""What clients were promised and what they were given: kept while it happens, judged at the end. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations


@dataclass(slots=True)
class Delivery:
    """One result in one answer.

    Attributes:
        begun_at, ended_at: of the request that it answered, in seconds on one clock.
        leased: it was to be confirmed, else it is handed out for good at once.
        confirmed_at: when its confirmation was answered; None where it never was.
    """

    value: object
    started_at: float
    ended_at: float
    leased: bool
    acked_at: float | None = None

    @property
    def final_at(self) -> float | None:
        """From when on the result must not be handed out any more."""
        return self.acked_at if self.leased else self.ended_at


@dataclass(slots=True)
class DeliveryLedger:
    """Every promise and every result.

    Attributes:
        expected: the value of each acknowledged job, by id.
        acknowledged_at: when its enqueue was answered.
        unknown: the values of ids that were sent but never acknowledged: they may run, or not.
        nameless: the values of jobs that were sent without an id, whose answer was lost.
        handed: by id, in the order of arrival.
    """

    expected: dict[str, str] = field(default_factory=dict)
    acknowledged_at: dict[str, float] = field(default_factory=dict)
    unacknowledged: dict[str, str] = field(default_factory=dict)
    values_without_id: set[str] = field(default_factory=set)
    deliveries: dict[str, list[Delivery]] = field(default_factory=dict)

    def acknowledge(self, job_id: str, expected: str, now: float) -> None:
        self.expected[job_id] = expected
        self.acknowledged_at[job_id] = now
        self.unacknowledged.pop(job_id, None)

    def deliver(self, job_id: str, hand_out: Delivery) -> None:
        self.deliveries.setdefault(job_id, []).append(hand_out)

    def undelivered(self) -> list[str]:
        """Acknowledged jobs that no consumer has been given."""
        return [job_id for job_id in self.expected if job_id not in self.deliveries]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What went wrong, as ids.

    Attributes:
        lost: acknowledged, never handed out, and not found by id with their value.
        wrong: handed out with a value that is not theirs, or never sent by anybody.
        doubled: handed out once more after it had been handed out for good.
        only_by_id: not handed out, but found by id: their answer was lost with a manager.
        missing: lost or doubled, too, but by a cut of all power right after they were acknowledged.
    """

    lost: tuple[str, ...]
    wrong: tuple[str, ...]
    doubled: tuple[str, ...]
    only_by_id: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.wrong or self.doubled)


def check_deliveries(
    ledger: DeliveryLedger, found: Mapping[str, object], *, excused: Sequence[tuple[float, float]] = ()
) -> Verdict:
    """Compares what was promised with what was given.

    Args:
        found: the values of unseen jobs that stand at `/jobs/{id}`.
        excused: times, from and until, whose acknowledged changes may be undone, because all power was cut then.
    """
    lost: list[str] = []
    wrong: list[str] = []
    doubled: list[str] = []
    by_id: list[str] = []
    missing: list[str] = []
    for job_id in ledger.undelivered():
        if job_id in found:
            (by_id if found[job_id] == ledger.expected[job_id] else wrong).append(job_id)
        else:
            (missing if is_within(ledger.acknowledged_at[job_id], excused) else lost).append(job_id)
    for job_id, hand_outs in ledger.deliveries.items():
        expected = ledger.expected.get(job_id, ledger.unacknowledged.get(job_id))
        if any(hand_out.value != expected and not _is_nameless(ledger, expected, hand_out) for hand_out in hand_outs):
            wrong.append(job_id)
        if _is_doubled(hand_outs, excused):
            doubled.append(job_id)
        elif _is_doubled(hand_outs, ()):
            missing.append(job_id)
    return Verdict(tuple(lost), tuple(wrong), tuple(doubled), tuple(by_id), tuple(missing))


def _is_nameless(ledger: DeliveryLedger, expected: str | None, hand_out: Delivery) -> bool:
    return expected is None and hand_out.value in ledger.values_without_id


def _is_doubled(hand_outs: list[Delivery], excused: Sequence[tuple[float, float]]) -> bool:
    """Whether one began after another was final, or two of them are for good."""
    return any(
        later.started_at > first.final_at or (not (first.leased or later.leased) and later.ended_at >= first.ended_at)
        for first, later in permutations(hand_outs, 2)
        if first.final_at is not None and not is_within(first.final_at, excused)
    )


def is_within(moment: float, times: Sequence[tuple[float, float]]) -> bool:
    """Whether it lies in one of the times."""
    return any(begun <= moment < ended for begun, ended in times)
