"""What is learned of demand: for each size of the fleet, whether its last worker has lately been worth its price.

For each size a shadow is kept: how many jobs would be in the system had the fleet had that size. The difference between
neighbouring sizes is what one worker more would have saved in waiting and cost in idling.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LARGEST = 20_000


def _sizes() -> Iterator[int]:
    size = 1
    while size < LARGEST:
        yield size
        size = max(size + 1, int(size * 1.12))


SIZES = tuple(_sizes())
"""Sizes for which a shadow is kept; those between share the next one's."""

PATIENCES = (0.01, 0.05, 0.1, 0.18, 0.3, 0.45, 0.65, 1.0, 1.5, 2.5)
"""Candidates, as a share of the break-even, for how long a gap of demand is bridged."""
CROWD_PATIENCE, LONG_PATIENCE = 1.5, 0.1
"""Where a level's patience starts, for jobs that are short and long beside a boot: short ones come back in crowds."""
CROWD_RETURN, LONG_RETURN = 1.5, 0.75
"""What demand that finds its worker gone costs, in break-evens: a crowd waits as a crowd, while for a long job often
another worker comes free first."""
PRIOR_GAPS, SHARED_GAPS = 0.3, 5.0
"""How many gaps of its own outweigh a level's start, and what all levels together have shown."""
SETTLE_SECONDS = 600.0
LONG_STEP = 0.02
"""How far the length of jobs beside a boot moves before patience is thought over."""
REMEMBERED_GAPS = 1000.0
REMEMBERED_IDLE = 8.0
"""In break-evens: idleness beyond this is not counted further."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What things cost now, in instance-seconds.

    Attributes:
        launch_seconds: one launch, before it works.
        boot_seconds: until a launched worker serves.
        wait_weight: one job-second of waiting.
    """

    launch_seconds: float
    boot_seconds: float
    wait_weight: float

    @property
    def break_even_seconds(self) -> float:
        """Idling for so long costs as much as a worker gone that is needed again: a launch, and a wait for it."""
        return self.launch_seconds + self.wait_weight * self.boot_seconds


@dataclass(frozen=True, slots=True)
class Sample:
    """The demand at one moment.

    Attributes:
        jobs: that wait or run.
        running: of these, that run.
        ready: workers that serve, idle or busy.
        coming: workers that boot.
        slots: jobs that a worker runs at a time.
        service_seconds: the mean of a job.
    """

    now: float
    jobs: int
    running: int
    ready: int
    coming: int
    slots: int
    service_seconds: float


class _Gaps:
    """What each of `PATIENCES` would have paid for the gaps of demand that were seen, in break-evens."""

    def __init__(self, losses: Sequence[float] = (0.0,) * len(PATIENCES), number: float = 0.0) -> None:
        if len(losses) != len(PATIENCES):
            raise ValueError(f"{len(losses)} losses, not {len(PATIENCES)}")
        self.losses = [float(loss) for loss in losses]
        self.number = number

    def add(self, gap: float, return_cost: float) -> None:
        for index, patience in enumerate(PATIENCES):
            self.losses[index] += gap if gap < patience else patience + return_cost
        self.number += 1.0
        if self.number > REMEMBERED_GAPS:
            self.losses = [loss / 2 for loss in self.losses]
            self.number /= 2


class Demand:
    """Learns from samples; answers by the fleet's size."""

    def __init__(self) -> None:
        self._last: Sample | None = None
        self._first_at = 0.0
        self._excess = [0.0] * len(SIZES)
        self._idle_seconds = [0.0] * len(SIZES)
        self._saved_seconds = [0.0] * len(SIZES)
        self._idle_since: list[float | None] = []
        self._gaps = [_Gaps() for _ in SIZES]
        self._all = _Gaps()
        self._long = self._thought_long = 0.0
        self._choices: list[float | None] = [None] * len(SIZES)

    def observe(self, sample: Sample, prices: Prices) -> None:
        """Takes the next sample: what was known at the one before is taken to have held until now."""
        last, self._last = self._last, sample
        if last is None:
            self._first_at = sample.now
            self._long = sample.service_seconds / (sample.service_seconds + prices.boot_seconds)
            self._idle_since = [None] * (-(-sample.jobs // sample.slots) + 1)
        if last is None or sample.now < last.now:
            return
        self._think_over(sample, prices.boot_seconds, sample.now - last.now)
        self._count_gaps(last, sample, prices.break_even_seconds)
        self._weigh(last, sample, prices)
        self._move_shadows(last, sample, prices.boot_seconds)
        for size in range(last.ready + last.coming + 1, sample.ready + sample.coming + 1):
            # Just launched: whatever its idleness was worth, the launch was decided on better grounds.
            self._idle_seconds[index_of(size)] = 0.0

    def idle_seconds(self, size: int) -> float:
        """For how long, net, the last worker of a fleet of this size has idled rather than saved waiting."""
        return self._idle_seconds[index_of(size)]

    def gap_seconds(self, size: int) -> float:
        """For how long demand has been below this size; 0 while it is not."""
        if self._last is None:
            return 0.0
        since = self._idle_since[size] if size < len(self._idle_since) else self._first_at
        return 0.0 if since is None else self._last.now - since

    def saved_seconds(self, size: int) -> float:
        """What one worker more would have saved just now, net, in instance-seconds; up to the price of its launch."""
        return self._saved_seconds[index_of(size)]

    def patience(self, size: int) -> float:
        """How long the last worker of a fleet of this size is kept idle, as a share of the break-even.

        The cheapest over the gaps that its level of demand has shown, and as far as those are few, over all levels'.
        """
        index = index_of(size)
        known = self._choices[index]
        if known is None:
            weight = SHARED_GAPS / max(self._all.number, SHARED_GAPS)
            prior = LONG_PATIENCE**self._long * CROWD_PATIENCE ** (1 - self._long)
            own, others = self._gaps[index].losses, self._all.losses
            losses = [
                loss + weight * other + PRIOR_GAPS * math.log(patience / prior) ** 2
                for patience, loss, other in zip(PATIENCES, own, others, strict=True)
            ]
            known = self._choices[index] = PATIENCES[min(range(len(PATIENCES)), key=losses.__getitem__)]
        return known

    def dump(self) -> dict[str, Any]:
        """What is worth keeping over a change of leader, as JSON can carry it."""
        seen = {str(SIZES[index]): gaps.losses for index, gaps in enumerate(self._gaps) if gaps.number}
        return {"all": self._all.losses, "number": self._all.number, "sizes": seen}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "Demand":
        """What `dump` gave.

        Raises:
            KeyError, ValueError, TypeError: it did not.
        """
        demand = cls()
        demand._all = _Gaps(state["all"], float(state["number"]))
        for size, losses in state["sizes"].items():
            demand._gaps[index_of(int(size))] = _Gaps(losses, 1.0)
        return demand

    def _think_over(self, sample: Sample, boot_seconds: float, elapsed: float) -> None:
        """Follows how long jobs are beside a boot, slowly: what waits at one moment says little of what will come."""
        long = sample.service_seconds / (sample.service_seconds + boot_seconds)
        self._long += (long - self._long) * min(1.0, elapsed / SETTLE_SECONDS)
        if abs(self._long - self._thought_long) > LONG_STEP:
            self._thought_long = self._long
            self._choices = [None] * len(SIZES)

    def _count_gaps(self, last: Sample, sample: Sample, break_even_seconds: float) -> None:
        """What each patience would have paid for the gaps that end now; all in break-evens."""
        before, after = (-(-moment.jobs // moment.slots) for moment in (last, sample))
        cost = LONG_RETURN * self._long + CROWD_RETURN * (1 - self._long)
        top = min(max(before, after), SIZES[-1])
        self._idle_since.extend([None] * (top + 1 - len(self._idle_since)))
        for level in range(after + 1, min(before, top) + 1):
            self._idle_since[level] = sample.now
        for level in range(before + 1, min(after, top) + 1):
            since, self._idle_since[level] = self._idle_since[level], None
            if since is not None:
                gap = (sample.now - since) / break_even_seconds
                index = index_of(level)
                self._gaps[index].add(gap, cost)
                self._all.add(gap, cost)
                self._choices[index] = None

    def _weigh(self, last: Sample, sample: Sample, prices: Prices) -> None:
        """Books, for each size, what its last worker saved or idled since the last sample."""
        elapsed = sample.now - last.now
        most_idle = REMEMBERED_IDLE * prices.break_even_seconds
        busiest = max(last.jobs, sample.jobs) // sample.slots
        size_before, waiting_before, idle_before = 0, 0.0, 0.0
        for index, size in enumerate(SIZES):
            jobs, room = last.jobs + self._excess[index], size * sample.slots
            waiting, idle = max(0.0, jobs - room), max(0.0, room - jobs) / sample.slots
            if size == 1:
                waiting_before = jobs
            saved = prices.wait_weight * (waiting_before - waiting) - (idle - idle_before)
            gain = saved / (size - size_before) * elapsed
            size_before, waiting_before, idle_before = size, waiting, idle
            if gain < 0:
                self._idle_seconds[index] = min(most_idle, self._idle_seconds[index] - gain)
                self._saved_seconds[index] = max(0.0, self._saved_seconds[index] + gain)
            elif gain > 0:
                self._saved_seconds[index] = min(prices.launch_seconds, self._saved_seconds[index] + gain)
                # Worth a launch: demand has really returned, and was not a passing blip.
                real = self._saved_seconds[index] >= prices.launch_seconds
                self._idle_seconds[index] = 0.0 if real else max(0.0, self._idle_seconds[index] - gain)
            if size > 2 * busiest + 4 and not self._excess[index] and self._idle_seconds[index] >= most_idle:
                break

    def _move_shadows(self, last: Sample, sample: Sample, boot_seconds: float) -> None:
        """What came and went is the same for all; a fleet with fewer workers busy ends fewer jobs than the real one."""
        service_seconds = max(sample.service_seconds, 1e-3)
        ending = 1 - math.exp(-(sample.now - last.now) / service_seconds)
        change, running = sample.jobs - last.jobs, (last.running + sample.running) / 2
        # No policy lets more pile up than is served within a boot.
        pile = running * max(0.0, boot_seconds / service_seconds - 1)
        queued, real = sample.jobs - sample.running, float(sample.jobs)
        busiest = max(last.jobs, sample.jobs) // sample.slots
        for index, size in enumerate(SIZES):
            if size > 2 * busiest + 8:
                # So large a fleet never lets a job wait: one is like the other.
                if self._excess[index] == self._excess[index - 1] == 0:
                    break
                self._excess[index] = self._excess[index - 1]
                continue
            room = size * sample.slots
            jobs = last.jobs + self._excess[index]
            jobs = max(0.0, jobs + change + (running - min(jobs, room)) * ending)
            if (not queued and (jobs <= room or real >= jobs)) or (jobs > real and size >= sample.ready):
                jobs = real
            elif jobs <= room and jobs < sample.running:
                jobs = float(sample.running)
            self._excess[index] = min(jobs, max(real, room + pile)) - real


def index_of(size: int) -> int:
    """Where a fleet's size is looked up in `SIZES`."""
    return min(bisect_left(SIZES, size), len(SIZES) - 1)
