"""Generated timetables, and jobs of seconds to hours on several slots: the later tables of `docs/scaling.md`."""

import math
import random
from collections.abc import Iterator, Mapping

from scaler.simulation.trace import TracedJob
from tests.acceptance.simulate.arrival_patterns import periodic

HOUR, DAY = 3600.0, 86_400.0
MAX_SERVICE_SECONDS = 36 * HOUR


def hourly(seed: int, *, days: int, size: int, within: float = 0.0, others: float = 0.0) -> list[TracedJob]:
    """A batch of jobs of about two minutes each hour, and single jobs.

    Args:
        within: standard deviation of the delays of a batch's jobs in seconds.
        others: rate of the single jobs, most of which come by day.
    """
    rng = random.Random(seed)
    jobs = []
    for hour in range(days * 24):
        for _ in range(size):
            at = hour * HOUR + (abs(rng.gauss(0, within)) if within else 0.0)
            jobs.append(TracedJob(at, 120.0 * rng.lognormvariate(0, 0.2), "hourly"))
    if others:
        jobs += [TracedJob(at, _service(rng, 20, 1.0), "others") for at in _by_day(rng, days, others)]
    return sorted(jobs)


def nightly(seed: int, *, days: int) -> list[TracedJob]:
    """A batch each night at two, and single jobs by day."""
    rng = random.Random(seed)
    jobs = []
    for day in range(days):
        begins_at = day * DAY + 2 * HOUR
        jobs += [TracedJob(begins_at + rng.expovariate(1 / 20), _service(rng, 240, 0.5), "nightly") for _ in range(120)]
    jobs += [TracedJob(at, _service(rng, 60, 1.2), "others") for at in _by_day(rng, days, 1 / 300)]
    return sorted(jobs)


def ending(*, hours: float, then_hours: float) -> list[TracedJob]:
    """Five jobs every four minutes, and after some hours single jobs of another function instead."""
    rng = random.Random(5)
    jobs = periodic(hours=hours, every=240, size=5, service=30.0)
    at = hours * HOUR
    while at < (hours + then_hours) * HOUR:
        at += rng.expovariate(1 / 2500)
        jobs.append(TracedJob(at, 40.0, "later"))
    return jobs


def short_and_long(seed: int, *, days: float, every: float) -> list[TracedJob]:
    """Jobs of 25 functions, two fifths of them of half a minute, the others of half an hour."""
    rng = random.Random(seed)
    jobs = []
    for at in _by_day(rng, days, 1 / every):
        service = _service(rng, 30, 1.5) if rng.random() < 0.4 else _service(rng, 1800, 1.5)
        jobs.append(TracedJob(at, service, f"application-{rng.randrange(25)}"))
    return jobs


def clumps_by_day(seed: int, *, days: float, every: float, size: float, median: float) -> list[TracedJob]:
    """Users come rarely, by day, and submit a clump of jobs that are alike."""
    rng = random.Random(seed)
    jobs = []
    for begins_at in _by_day(rng, days, 1 / every):
        at, user, alike = begins_at, rng.randrange(30), _service(rng, median, 1.6)
        for _ in range(min(200, int(size * 0.4 * rng.paretovariate(1.2))) + 1):
            service = min(MAX_SERVICE_SECONDS, max(1.0, alike * rng.lognormvariate(0, 0.35)))
            jobs.append(TracedJob(at, service, f"application-{user}"))
            at += rng.choice((0, 1, 2, 5)) if rng.random() < 0.8 else rng.expovariate(1 / 300)
    return sorted(jobs)


def timetables() -> Mapping[str, tuple[list[TracedJob], int]]:
    """Return the jobs, and the slots of a worker, of the timetables in `docs/scaling.md` by name."""
    within_two_minutes = hourly(9, days=4, size=12, within=60.0, others=1 / 600)
    return {
        "every 10 minutes 10 x 30 s": (periodic(hours=36, every=600, size=10, service=30.0), 1),
        "every 150 s 4 x 20 s": (periodic(hours=12, every=150, size=4, service=20.0), 1),
        "every hour 20 x 120 s": (hourly(8, days=3, size=20), 1),
        "every hour 12 x 120 s within two minutes, and single jobs": (within_two_minutes, 1),
        "each night 120 x 240 s for ten nights, and single jobs by day": (nightly(10, days=10), 1),
        "every 4 minutes 5 x 30 s for eight hours, then single jobs": (ending(hours=8, then_hours=16), 1),
        "every 4 minutes 20 x 30 s, four slots": (periodic(hours=24, every=240, size=20, service=30.0), 4),
    }


def several_slots() -> Mapping[str, tuple[list[TracedJob], int]]:
    """Return the jobs, and the slots of a worker, of the last table of generated arrivals in `docs/scaling.md`."""
    return {
        "1/min, of 30 s or 30 min, 4 slots": (short_and_long(15, days=3, every=60), 4),
        "1 each 25 s, of 30 s or 30 min, 16 slots": (short_and_long(16, days=2, every=25), 16),
        "clumps of alike jobs, 4 slots": (clumps_by_day(23, days=30, every=9000, size=12, median=1500), 4),
    }


def _by_day(rng: random.Random, days: float, rate: float) -> Iterator[float]:
    """Return times of which most are by day; `rate` is the highest one, each second."""
    at = rng.expovariate(rate)
    while at <= days * DAY:
        if rng.random() < 0.25 + 0.75 * (0.5 - 0.5 * math.cos(at / DAY * math.tau - 0.8)) ** 1.5:
            yield at
        at += rng.expovariate(rate)


def _service(rng: random.Random, median: float, sigma: float) -> float:
    return min(MAX_SERVICE_SECONDS, max(1.0, rng.lognormvariate(math.log(median), sigma)))
