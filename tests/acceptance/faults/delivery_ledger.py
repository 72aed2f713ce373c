"""Ledger of acknowledged jobs and delivered results, and the check for lost, wrong and doubled ones. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations


@dataclass(slots=True)
class Delivery:
    """One result in one answer to a pull.

    Attributes:
        started_at, ended_at: start and end of the pull request, in seconds on one clock.
        leased: whether the result was leased and must be acked; otherwise the delivery is final at once.
        acked_at: when the ack was answered; None if it never was.
    """

    value: object
    started_at: float
    ended_at: float
    leased: bool
    acked_at: float | None = None

    @property
    def final_at(self) -> float | None:
        """The time from which on the result must not be delivered again; None if it may be."""
        return self.acked_at if self.leased else self.ended_at


@dataclass(slots=True)
class DeliveryLedger:
    """All acknowledged jobs and all delivered results.

    Attributes:
        expected: the value of each acknowledged job, by id.
        acknowledged_at: when its enqueue was answered, by id.
        unacknowledged: the values of ids that were sent but never acknowledged; these jobs may or may not run.
        values_without_id: the values of jobs that were sent without an id and whose answer was lost.
        deliveries: by id, in the order of arrival.
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

    def deliver(self, job_id: str, delivery: Delivery) -> None:
        self.deliveries.setdefault(job_id, []).append(delivery)

    def undelivered(self) -> list[str]:
        """Return the acknowledged jobs whose result no consumer got."""
        return [job_id for job_id in self.expected if job_id not in self.deliveries]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The ids of the jobs for which something went wrong.

    Attributes:
        lost: acknowledged, never delivered, and not found by id with the right value.
        wrong: delivered with a wrong value, or never sent by any client.
        doubled: delivered again after a final delivery.
        only_by_id: not delivered, but found by id: the answer was lost with a manager.
        missing: lost or doubled, but excused by a power cut of all hosts right after the acknowledgement.
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
    """Compare the acknowledged jobs with the deliveries.

    Args:
        found: the values of undelivered jobs that `/jobs/{id}` has.
        excused: periods (from, until) whose acknowledged changes may be lost, because of a power cut of all hosts.
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
    for job_id, deliveries in ledger.deliveries.items():
        expected = ledger.expected.get(job_id, ledger.unacknowledged.get(job_id))
        if any(
            delivery.value != expected and not _is_of_unnamed_job(ledger, expected, delivery) for delivery in deliveries
        ):
            wrong.append(job_id)
        if _is_doubled(deliveries, excused):
            doubled.append(job_id)
        elif _is_doubled(deliveries, ()):
            missing.append(job_id)
    return Verdict(tuple(lost), tuple(wrong), tuple(doubled), tuple(by_id), tuple(missing))


def _is_of_unnamed_job(ledger: DeliveryLedger, expected: str | None, delivery: Delivery) -> bool:
    return expected is None and delivery.value in ledger.values_without_id


def _is_doubled(deliveries: list[Delivery], excused: Sequence[tuple[float, float]]) -> bool:
    """Whether a delivery started after another was final, or two deliveries are final."""
    return any(
        later.started_at > first.final_at or (not (first.leased or later.leased) and later.ended_at >= first.ended_at)
        for first, later in permutations(deliveries, 2)
        if first.final_at is not None and not is_within(first.final_at, excused)
    )


def is_within(moment: float, times: Sequence[tuple[float, float]]) -> bool:
    """Whether the moment lies in one of the periods."""
    return any(start <= moment < end for start, end in times)
