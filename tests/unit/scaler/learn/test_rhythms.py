"""When batches of jobs are expected, and with how many workers they cost least."""

import json
import random
import time
from collections.abc import Iterable, Mapping

import pytest

from scaler.learn.demand import Prices
from scaler.learn.rhythm import Rhythm
from scaler.learn.rhythms import MAX_FUNCTIONS, Rhythms, cheapest_workers
from scaler.policy import ExpectedBatch

BOOT_SECONDS = 90.0
PRICES = Prices(launch_seconds=BOOT_SECONDS, boot_seconds=BOOT_SECONDS, wait_weight=1.0)
PERIOD_SECONDS = 600.0
NIGHT = 86_400.0


def _rhythm(batches: Iterable[tuple[float, int]]) -> Rhythm:
    """Learn from (second, jobs)."""
    rhythm = Rhythm()
    for now, jobs in batches:
        rhythm.on_arrivals(now, jobs, BOOT_SECONDS)
    return rhythm


def _regular(count: int, jobs: int = 5, period: float = PERIOD_SECONDS) -> list[tuple[float, int]]:
    return [(number * period, jobs) for number in range(count)]


def _expected(rhythms: Rhythms, now: float) -> ExpectedBatch | None:
    return rhythms.expected(now, PRICES, 1, BOOT_SECONDS / 2, lambda _: 30.0)


def _observe(
    rhythms: Rhythms, now: float, present: Mapping[str, int] | None = None, *, ended: Mapping[str, int] | None = None
) -> None:
    rhythms.observe(now, present or {}, ended or {}, 1, BOOT_SECONDS)


def _observed(*functions: str, batches: int = 6) -> Rhythms:
    """Observe batches of five jobs of each function, which have ended a minute later."""
    rhythms = Rhythms()
    _observe(rhythms, -1.0)
    for number in range(batches):
        ended = dict.fromkeys(functions, number * 5)
        _observe(rhythms, number * PERIOD_SECONDS, dict.fromkeys(functions, 5), ended=ended)
        ended = dict.fromkeys(functions, number * 5 + 5)
        _observe(rhythms, number * PERIOD_SECONDS + 60, ended=ended)
    return rhythms


def test_a_rhythm_is_known_after_five_batches() -> None:
    assert not _rhythm(_regular(4)).is_current(1900.0)
    rhythm = _rhythm(_regular(5))
    assert rhythm.is_current(2500.0)
    assert (rhythm.jobs, rhythm.period_seconds, rhythm.next_at(2500.0)) == (5, PERIOD_SECONDS, 3000.0)


def test_one_irregular_batch_of_six_is_no_end() -> None:
    assert _rhythm([*_regular(5), (2600.0, 5)]).next_at(2600.0) == 3200.0


def test_jobs_that_come_one_by_one_are_one_batch() -> None:
    rhythm = _rhythm((night * NIGHT + job * 20.0, 1) for night in range(6) for job in range(50))
    assert (rhythm.jobs, rhythm.period_seconds) == (50, NIGHT)


def test_gaps_can_differ_by_half_a_boot() -> None:
    assert _rhythm((at + 11.0 * (-1) ** number, 5) for number, (at, _) in enumerate(_regular(6))).is_current(3000.0)
    assert not _rhythm((at + 12.0 * (-1) ** number, 5) for number, (at, _) in enumerate(_regular(6))).is_current(3000.0)


def test_single_jobs_of_the_function_between_its_batches_change_nothing() -> None:
    single = [(at + 250.0, 1) for at, _ in _regular(6)]
    assert _rhythm(sorted([*_regular(6), *single])).next_at(3300.0) == 3600.0


def test_random_batches_have_hardly_ever_a_rhythm() -> None:
    rng, rhythm, now, current = random.Random(1), Rhythm(), 0.0, 0
    for _ in range(5000):
        now += rng.expovariate(1 / 600)
        rhythm.on_arrivals(now, 1, BOOT_SECONDS)
        current += rhythm.is_current(now)
    assert current <= 50


def test_a_rhythm_ends_when_two_batches_have_not_come() -> None:
    rhythm = _rhythm(_regular(6))
    late = 3600.0 + 46.0
    assert [rhythm.missed(at) for at in (3600.0, late, late + PERIOD_SECONDS)] == [0, 1, 2]
    assert [rhythm.is_current(at) for at in (3600.0, late, late + PERIOD_SECONDS)] == [True, True, False]
    assert rhythm.next_at(late) == 4200.0


def test_a_clock_that_was_set_back_ends_the_rhythm() -> None:
    rhythm = _rhythm([*_regular(6), (100.0, 5)])
    assert not rhythm.is_current(100.0)


def test_the_next_batch_is_expected() -> None:
    batch = _expected(_observed("cron"), 3510.0)
    assert batch == ExpectedBatch(
        jobs=5,
        every_seconds=PERIOD_SECONDS,
        in_seconds=90.0,
        workers=2,
        other_workers=0,
        functions=frozenset({"cron"}),
        is_missing=False,
    )


def test_what_other_jobs_needed_is_forgotten_after_two_periods() -> None:
    rhythms = _observed("cron", batches=9)
    batch = _expected(rhythms, 8 * PERIOD_SECONDS + 60)
    assert batch is not None
    assert batch.other_workers == 0
    _observe(rhythms, 8 * PERIOD_SECONDS + 70, {"other": 3}, ended={"cron": 45})
    batch = _expected(rhythms, 8 * PERIOD_SECONDS + 80)
    assert batch is not None
    assert (batch.other_workers, batch.functions) == (3, frozenset({"cron"}))


def test_batches_of_two_functions_at_the_same_time_are_one() -> None:
    batch = _expected(_observed("cron", "report"), 3510.0)
    assert batch is not None
    assert (batch.jobs, batch.functions) == (10, frozenset({"cron", "report"}))


def test_a_batch_that_did_not_come_is_said() -> None:
    batch = _expected(_observed("cron"), 3700.0)
    assert batch is not None
    assert (batch.is_missing, batch.in_seconds) == (True, 500.0)
    assert _expected(_observed("cron"), 4300.0) is None


def test_a_batch_that_ends_between_two_observations_counts() -> None:
    rhythms = _observed("cron")
    for number in range(6, 9):
        _observe(rhythms, number * PERIOD_SECONDS, ended={"cron": number * 5 + 5})
        batch = _expected(rhythms, number * PERIOD_SECONDS + 1)
        assert batch is not None
        assert not batch.is_missing


def test_functions_of_queues_that_the_fleet_does_not_serve_have_no_rhythm() -> None:
    rhythms = Rhythms()
    for number in range(8):
        _observe(rhythms, number * PERIOD_SECONDS, ended={"foreign": number * 5})
    assert _expected(rhythms, 7 * PERIOD_SECONDS + 1) is None


def test_a_restored_rhythm_is_the_same() -> None:
    rhythms = _observed("cron")
    again = Rhythms.load(json.loads(json.dumps(rhythms.dump())), BOOT_SECONDS)
    (batch, restored) = (_expected(each, 3510.0) for each in (rhythms, again))
    assert batch is not None
    assert restored is not None
    assert (restored.in_seconds, restored.jobs) == (batch.in_seconds, batch.jobs)


def test_the_next_leader_knows_what_other_jobs_have_needed() -> None:
    """It keeps those workers between two batches, too."""
    rhythms = _observed("cron")
    _observe(rhythms, 3100.0, {"other": 3}, ended={"cron": 30})
    again = Rhythms.load(json.loads(json.dumps(rhythms.dump())), BOOT_SECONDS)
    batch = _expected(again, 3510.0)
    assert batch is not None
    assert batch.other_workers == 3


def test_memory_and_time_are_bounded() -> None:
    rhythms = Rhythms()
    for second in range(3):
        _observe(rhythms, float(second), {f"f{number}": 20 * second for number in range(500)})
    assert len(rhythms.dump()["functions"]) == MAX_FUNCTIONS
    seconds = []
    for second in range(3, 8):
        started_at = time.process_time()
        _observe(rhythms, float(second), {f"f{number}": 20 * second for number in range(50)})
        _expected(rhythms, float(second))
        seconds.append(time.process_time() - started_at)
    assert min(seconds) <= 0.005


@pytest.mark.parametrize(
    ("jobs", "service_seconds", "period_seconds", "slots", "workers"),
    [
        (1, 30.0, 600.0, 1, 1),
        (5, 30.0, 240.0, 1, 2),
        (5, 1.0, 240.0, 1, 1),
        (5, 3600.0, 86_400.0, 1, 5),
        (5, 3600.0, 86_400.0, 4, 2),
        (10_000, 1.0, 86_400.0, 1, 580),
    ],
)
def test_as_many_workers_as_cost_least(
    jobs: int, service_seconds: float, period_seconds: float, slots: int, workers: int
) -> None:
    assert cheapest_workers(jobs, service_seconds, period_seconds, PRICES, slots, 45.0) == workers
