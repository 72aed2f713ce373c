"""Generated arrivals of many patterns. `docs/scaling.md` says which of them were used while the policy was tuned."""

import math
import random
from collections.abc import Iterator, Mapping

from scaler.simulation.trace import TracedJob


def poisson(seed: int, *, seconds: float, rate: float, service: float, sigma: float = 1.0) -> list[TracedJob]:
    """Steady arrivals at `rate` a second; lognormal service times with mean `service`."""
    rng = random.Random(seed)
    return [TracedJob(at, _service(rng, service, sigma), "steady") for at in _arrivals(rng, seconds, rate)]


def diurnal(seed: int, *, days: float, peak_rate: float, service: float, sigma: float = 1.0) -> list[TracedJob]:
    """Arrivals that rise and fall with the day, with next to none at night."""
    rng = random.Random(seed)
    jobs = []
    for at in _arrivals(rng, days * 86_400, peak_rate):
        if rng.random() < (0.5 - 0.5 * math.cos(at / 86_400 * math.tau)) ** 2 + 0.01:
            jobs.append(TracedJob(at, _service(rng, service, sigma), "daily"))
    return jobs


def bursty(seed: int, *, seconds: float, every: float, size: float, service: float) -> list[TracedJob]:
    """Bursts at random times, of Pareto sizes."""
    rng = random.Random(seed)
    jobs = []
    for at in _arrivals(rng, seconds, 1 / every):
        for _ in range(int(size * 0.3 * rng.paretovariate(1.5)) + 1):
            jobs.append(TracedJob(at + rng.expovariate(0.2), _service(rng, service, 1.0), "burst"))
    return sorted(jobs)


def sparse(seed: int, *, days: float, every: float, service: float, sigma: float = 2.0) -> list[TracedJob]:
    """Few, long jobs with a heavy tail, in sessions of several jobs."""
    rng = random.Random(seed)
    jobs = []
    for at in _arrivals(rng, days * 86_400, 1 / (every * 4)):
        for _ in range(1 + int(rng.expovariate(1 / 3))):
            jobs.append(TracedJob(at, _service(rng, service, sigma), f"user-{rng.randrange(20)}"))
            at += rng.expovariate(1 / 200)
    return sorted(jobs)


def periodic(*, hours: float, every: float, size: int, service: float) -> list[TracedJob]:
    """Batches of `size` jobs at regular times, as cron sends them."""
    return [
        TracedJob(number * every, service, "cron") for number in range(int(hours * 3600 / every)) for _ in range(size)
    ]


def clumps(seed: int, *, days: float, every: float, size: float, service: float) -> list[TracedJob]:
    """Long jobs in clumps, as users of batch systems submit them: alike within a clump, of Pareto sizes."""
    rng = random.Random(seed)
    jobs = []
    for at in _arrivals(rng, days * 86_400, 1 / every):
        user, alike = rng.randrange(20), _service(rng, service, 1.6)
        for _ in range(min(200, int(size * 0.4 * rng.paretovariate(1.2))) + 1):
            jobs.append(TracedJob(at, _service(rng, alike, 0.35), f"user-{user}"))
            at += rng.expovariate(1 / 20) if rng.random() < 0.8 else rng.expovariate(1 / 300)
    return sorted(jobs)


def mixed(seed: int, *, hours: float) -> list[TracedJob]:
    """A stream of short jobs and a few long ones in one queue."""
    seconds = hours * 3600
    short = poisson(seed, seconds=seconds, rate=2.0, service=1.0)
    long = [
        TracedJob(job.submit_seconds, job.service_seconds, "long")
        for job in poisson(seed + 1, seconds=seconds, rate=1 / 200, service=900.0)
    ]
    return sorted(short + long)


def other_patterns() -> Mapping[str, list[TracedJob]]:
    """Return the jobs of the fourteen patterns in the table of `docs/scaling.md`, by name."""
    rare_long = (job._replace(function="long") for job in poisson(113, seconds=21_600, rate=1 / 300, service=900.0))
    return {
        "steady, 1.3/s of 7 s": poisson(101, seconds=7200, rate=1.3, service=7.0),
        "steady, 12/s of 0.6 s": poisson(102, seconds=3600, rate=12.0, service=0.6),
        "steady, 0.05/s of 200 s": poisson(103, seconds=60_000, rate=0.05, service=200.0),
        "day and night, 25 s": diurnal(104, days=2, peak_rate=0.2, service=25.0),
        "day and night, 900 s": diurnal(105, days=5, peak_rate=0.02, service=900.0, sigma=1.5),
        "bursts of 200 x 5 s": bursty(106, seconds=40_000, every=1500, size=200, service=5.0),
        "bursts of 25 x 60 s": bursty(107, seconds=60_000, every=1200, size=25, service=60.0),
        "bursts of 12 x 1,200 s": bursty(108, seconds=300_000, every=5000, size=12, service=1200.0),
        "sparse, 2,000 s": sparse(109, days=50, every=2000, service=2000.0),
        "sparse, 120 s": sparse(110, days=25, every=800, service=120.0),
        "sparse, 3,600 s, even": sparse(111, days=60, every=5000, service=3600.0, sigma=0.5),
        "every half hour 30 x 90 s": periodic(hours=48, every=1800, size=30, service=90.0),
        "every 4 minutes 5 x 30 s": periodic(hours=24, every=240, size=5, service=30.0),
        "2/s of 1 s with some of 900 s": sorted([*poisson(112, seconds=21_600, rate=2.0, service=1.0), *rare_long]),
    }


def _arrivals(rng: random.Random, seconds: float, rate: float) -> Iterator[float]:
    at = rng.expovariate(rate)
    while at < seconds:
        yield at
        at += rng.expovariate(rate)


def _service(rng: random.Random, mean: float, sigma: float) -> float:
    return rng.lognormvariate(math.log(mean) - sigma * sigma / 2, sigma)
