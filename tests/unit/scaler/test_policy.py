"""The scaling policy: a table of situations with the decision of each, and what holds in all of them."""

import ast
import itertools
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import scaler.policy
from scaler.policy import MIN_AGE_BOOTS, ExpectedBatch, Limits, Observation, ScheduledMinimum, decide
from tests.unit.scaler.observations import CLOUD, estimates, observed

LONG_JOBS = estimates(service_seconds=3600.0)
LONG_QUEUE = estimates(service_seconds=180.0)
"""Jobs that are just long enough for a worker of their own."""
SHORT_JOBS = estimates(service_seconds=1.0)
BREAK_EVEN_SECONDS = 180.0
"""A launch, and the job-seconds missed, in `estimates()`."""
UNUSED = estimates(idle_gap_seconds=BREAK_EVEN_SECONDS + 1)
PROVEN = estimates(service_seconds=1.0, saved_seconds=90.0)
"""Recent demand has shown that another worker saves its launch."""
BATCH = ExpectedBatch(
    jobs=5,
    every_seconds=600.0,
    in_seconds=90.0,
    workers=3,
    other_workers=0,
    functions=frozenset({"f"}),
    is_missing=False,
)
BATCH_DUE = estimates(service_seconds=30.0, idle_gap_seconds=60.0, batch=BATCH)
BATCH_LATER = replace(BATCH_DUE, batch=replace(BATCH, in_seconds=91.0))
BATCH_MISSING = replace(BATCH_DUE, batch=replace(BATCH, is_missing=True))
BATCH_AND_OTHERS = replace(BATCH_DUE, batch=replace(BATCH, in_seconds=91.0, other_workers=1))
DOCUMENT = Path(scaler.policy.__file__).parents[1] / "docs" / "scaling.md"


@dataclass(frozen=True)
class Situation:
    """An observation, and the expected decision."""

    observation: Observation
    limits: Limits = CLOUD
    launch: int = 0
    drain: int = 0


SITUATIONS = {
    "no jobs and no workers": Situation(observed()),
    "the first job": Situation(observed(queued=1), launch=1),
    "one worker for each long job": Situation(observed(queued=5, learned=LONG_JOBS), launch=5),
    "few workers for many short jobs": Situation(observed(queued=100, learned=SHORT_JOBS), launch=7),
    "more workers if waiting costs more": Situation(
        observed(queued=100, learned=SHORT_JOBS), replace(CLOUD, wait_weight=16.0), launch=33
    ),
    "no more workers than long jobs fill": Situation(
        observed(queued=30, learned=estimates(service_seconds=600.0)), replace(CLOUD, slots_per_worker=4), launch=8
    ),
    "a flood of long jobs": Situation(observed(queued=1000, learned=LONG_JOBS), launch=1000),
    "no more workers than a flood of long jobs fills": Situation(
        observed(queued=399, learned=estimates(service_seconds=36_000.0)),
        replace(CLOUD, slots_per_worker=4),
        launch=100,
    ),
    "a flood of jobs of days": Situation(
        observed(queued=399, learned=estimates(service_seconds=259_200.0)), launch=399
    ),
    "a flood of jobs of days for a few workers": Situation(
        observed(queued=10_000, learned=estimates(service_seconds=259_200.0)),
        replace(CLOUD, max_workers=20),
        launch=20,
    ),
    "a flood that the maximum cannot serve in time": Situation(
        observed(queued=100_000, running_ages=(1.0,) * 20, learned=LONG_JOBS), launch=980
    ),
    "never more than the maximum": Situation(
        observed(queued=5, learned=LONG_JOBS), replace(CLOUD, max_workers=4), launch=4
    ),
    "never more than the budget": Situation(
        observed(queued=5, learned=LONG_JOBS), replace(CLOUD, hourly_budget=1.0, hourly_price=0.4), launch=2
    ),
    "the booting workers are enough": Situation(
        observed(queued=2, booting_ages=(80.0, 80.0), learned=LONG_JOBS),
    ),
    "booting workers count": Situation(observed(queued=3, booting_ages=(10.0, 10.0), learned=LONG_JOBS), launch=1),
    "idle workers take the queue": Situation(observed(queued=2, idle=2)),
    "draining workers take no job": Situation(observed(queued=2, draining=1, learned=LONG_JOBS), launch=2),
    "draining workers count against the maximum": Situation(
        observed(queued=9, draining=3, learned=LONG_JOBS), replace(CLOUD, max_workers=4), launch=1
    ),
    "many young short jobs will soon free a slot": Situation(observed(queued=1, running_ages=(1.0,) * 20)),
    "a job that has just started may soon end": Situation(
        observed(queued=1, running_ages=(0.0,), learned=estimates(service_seconds=20.0))
    ),
    "waiting a little shows whether a job ends soon": Situation(
        observed(queued=2, running_ages=(10.0,), learned=estimates(service_seconds=60.0))
    ),
    "the last of few slots becomes free late": Situation(
        observed(queued=4, running_ages=(10.0, 10.0), learned=estimates(service_seconds=60.0)), launch=1
    ),
    "an old long job will not end soon": Situation(
        observed(queued=1, running_ages=(50_000.0,), learned=LONG_JOBS), launch=1
    ),
    "long jobs that have waited for a busy slot in vain": Situation(
        observed(queued=3, oldest_seconds=46.0, running_ages=(10.0,) * 99, booting_ages=(5.0,), learned=LONG_QUEUE),
        launch=2,
    ),
    "long jobs for which waiting in vain costs more": Situation(
        observed(queued=3, oldest_seconds=23.0, running_ages=(10.0,) * 99, booting_ages=(5.0,), learned=LONG_QUEUE),
        replace(CLOUD, wait_weight=2.0),
        launch=2,
    ),
    "long jobs of which a free slot takes one": Situation(
        observed(
            queued=3, oldest_seconds=46.0, idle=1, running_ages=(10.0,) * 99, booting_ages=(5.0,), learned=LONG_QUEUE
        ),
        launch=1,
    ),
    "long jobs that have waited for one of several slots in vain": Situation(
        observed(queued=8, oldest_seconds=46.0, running_ages=(10.0,) * 99, booting_ages=(5.0,), learned=LONG_QUEUE),
        replace(CLOUD, slots_per_worker=3),
        launch=2,
    ),
    "long jobs that may still get a busy slot": Situation(
        observed(queued=3, oldest_seconds=44.0, running_ages=(10.0,) * 99, booting_ages=(5.0,), learned=LONG_QUEUE)
    ),
    "short jobs wait until a busy slot takes them": Situation(
        observed(queued=3, oldest_seconds=46.0, running_ages=(10.0,) * 99, booting_ages=(5.0,))
    ),
    "workers proven by recent demand": Situation(observed(queued=3, running_ages=(0.1,) * 5, learned=PROVEN), launch=3),
    "a batch that comes when new workers have booted": Situation(observed(learned=BATCH_DUE), launch=3),
    "a batch that comes later": Situation(observed(learned=BATCH_LATER)),
    "a batch whose last one has not come": Situation(observed(learned=BATCH_MISSING)),
    "a batch for which idle and booting workers will be free": Situation(
        observed(idle=1, booting_ages=(5.0,), learned=BATCH_DUE), launch=1
    ),
    "a batch for which busy workers will be free": Situation(
        observed(running_ages=(25.0,), learned=replace(BATCH_DUE, survival=lambda age: 0.001 if age > 60 else 1.0)),
        launch=2,
    ),
    "a batch for which busy workers will not be free": Situation(
        observed(running_ages=(5000.0,), learned=BATCH_DUE), launch=3
    ),
    "a batch for workers with four slots": Situation(
        observed(idle=1, learned=replace(BATCH_DUE, batch=replace(BATCH, workers=2))),
        replace(CLOUD, slots_per_worker=4),
        launch=1,
    ),
    "a batch while another job waits": Situation(
        observed(queued=1, running_ages=(10.0,), learned=replace(LONG_JOBS, batch=BATCH)), launch=3
    ),
    "a batch while workers run more jobs than new ones could": Situation(
        observed(running_ages=(5000.0,) * 8, learned=BATCH_DUE, busy=2), launch=3
    ),
    "a batch beyond the maximum": Situation(observed(learned=BATCH_DUE), replace(CLOUD, max_workers=2), launch=2),
    "workers that a batch needs soon": Situation(observed(idle=3, learned=replace(UNUSED, batch=BATCH))),
    "workers that a batch needs later": Situation(observed(idle=3, learned=BATCH_LATER), drain=3),
    "more workers than a batch needs": Situation(observed(idle=5, learned=BATCH_DUE), drain=2),
    "workers that other jobs than a batch's may need": Situation(observed(idle=3, learned=BATCH_AND_OTHERS), drain=2),
    "workers that a batch needs later, within the minimum idle time": Situation(
        observed(idle=3, learned=BATCH_LATER), replace(CLOUD, min_idle_seconds=61.0)
    ),
    "a batch gets no more workers than cost least": Situation(
        observed(queued=3, running_ages=(0.1,) * 3, learned=replace(PROVEN, batch=BATCH))
    ),
    "other jobs beside a batch get more workers": Situation(
        observed(
            queued=3,
            running_ages=(0.1,) * 3,
            learned=replace(PROVEN, batch=replace(BATCH, functions=frozenset({"g"}))),
        ),
        launch=3,
    ),
    "the minimum without any job": Situation(observed(), replace(CLOUD, min_workers=2), launch=2),
    "unused for less than the break-even": Situation(
        observed(idle=3, learned=estimates(idle_gap_seconds=BREAK_EVEN_SECONDS - 1))
    ),
    "unused for longer than the break-even": Situation(observed(idle=3, learned=UNUSED), drain=3),
    "unused, but the minimum stays": Situation(
        observed(idle=3, learned=UNUSED), replace(CLOUD, min_workers=1), drain=2
    ),
    "used now and then, at a loss": Situation(
        observed(idle=1, learned=estimates(idle_gap_seconds=5.0, net_idle_seconds=BREAK_EVEN_SECONDS + 1)), drain=1
    ),
    "used now and then, and worth it": Situation(
        observed(idle=1, learned=estimates(idle_gap_seconds=5.0, net_idle_seconds=BREAK_EVEN_SECONDS - 1))
    ),
    "kept for the minimum idle time": Situation(
        observed(idle=1, learned=UNUSED), replace(CLOUD, min_idle_seconds=200.0)
    ),
    "kept for longer if waiting costs more": Situation(
        observed(idle=1, learned=UNUSED), replace(CLOUD, wait_weight=2.0)
    ),
    "kept for longer if a burst would wait without it": Situation(
        observed(idle=1, learned=estimates(idle_gap_seconds=900.0, miss_cost_seconds=5000.0))
    ),
    "drained early if the hold factor is low": Situation(
        observed(idle=1, learned=estimates(idle_gap_seconds=19.0, hold_factor=0.1)), drain=1
    ),
    "busy workers are never drained": Situation(observed(running_ages=(5.0,), learned=UNUSED)),
    "nothing is drained while jobs wait": Situation(
        observed(queued=30, idle=1, booting_ages=(80.0,) * 30, learned=UNUSED)
    ),
    "nothing is drained while an idle worker is about to take a job": Situation(
        observed(queued=1, idle=3, learned=UNUSED)
    ),
    "a worker is kept until its minimum age": Situation(
        observed(idle=3, idle_age_seconds=MIN_AGE_BOOTS * 90.0 - 1, learned=UNUSED)
    ),
    "a worker can go at its minimum age": Situation(
        observed(idle=3, idle_age_seconds=MIN_AGE_BOOTS * 90.0, learned=UNUSED), drain=3
    ),
    "nothing is drained on stale numbers": Situation(observed(idle=3, learned=UNUSED, stale=True)),
    "the maximum was lowered": Situation(
        observed(queued=9, idle=1, idle_age_seconds=0.0, running_ages=(5.0,) * 5),
        replace(CLOUD, max_workers=4),
        drain=2,
    ),
    "no worker goes for one that still boots": Situation(
        observed(idle=1, running_ages=(5.0,) * 2, booting_ages=(5.0,) * 3), replace(CLOUD, max_workers=2), drain=1
    ),
    "booting workers above the maximum go once they have registered": Situation(
        observed(idle=1, booting_ages=(5.0,) * 3), replace(CLOUD, max_workers=2)
    ),
    "those above the maximum drain already": Situation(
        observed(queued=9, running_ages=(5.0,) * 4, draining=2), replace(CLOUD, max_workers=4)
    ),
    "nothing above the maximum is drained on stale numbers": Situation(
        observed(idle=3, stale=True), replace(CLOUD, max_workers=2)
    ),
    "the maximum is zero": Situation(observed(queued=9), replace(CLOUD, max_workers=0)),
}
MONDAY = 4 * 86_400
"""A Unix time; its zero, 1 January 1970, was a Thursday."""
DAY_SECONDS = 86_400
OPENS, CLOSES = 8 * 60, 18 * 60
"""Minutes of the day."""


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_decision(situation: Situation) -> None:
    decision = decide(situation.observation, situation.limits)
    assert (decision.launch, decision.drain) == (situation.launch, situation.drain), decision.reason


@pytest.mark.parametrize(("minute", "workers"), [(OPENS - 1, 0), (OPENS, 5), (CLOSES - 1, 5), (CLOSES, 0)], ids=str)
def test_the_minimum_follows_its_schedule(minute: int, workers: int) -> None:
    on_mondays = ScheduledMinimum(workers=5, from_minute=OPENS, to_minute=CLOSES, weekdays=(0,))
    limits = replace(CLOUD, min_workers_schedule=(on_mondays,))
    assert decide(observed(now=MONDAY + minute * 60), limits).launch == workers
    assert decide(observed(now=MONDAY + DAY_SECONDS + minute * 60), limits).launch == 0


@pytest.mark.parametrize(
    ("observation", "limits", "reason"),
    [
        (observed(), CLOUD, "KEEP 0: there are no workers, and no job waits that they could run; "),
        (observed(idle=2), replace(CLOUD, min_workers=2), "KEEP 2: the minimum is 2; "),
        (
            observed(idle=3, learned=BATCH_DUE),
            replace(CLOUD, min_workers=3, max_workers=3),
            "KEEP 3: the minimum is 3; ",
        ),
        (
            observed(idle=3, learned=BATCH_LATER),
            replace(CLOUD, min_idle_seconds=61.0),
            "KEEP 3: a batch of 5 jobs comes every 600s, next in 91s; idling until then > launch 90s;"
            " level 3 unused for 60s; minimum idle time 61s; ",
        ),
        (
            observed(queued=1, idle=2),
            CLOUD,
            "KEEP 2: there is a free slot for each queued job; ",
        ),
        (
            observed(queued=9, running_ages=(1.0,) * 3),
            replace(CLOUD, max_workers=3),
            "KEEP 3: the maximum of 3 is reached; ",
        ),
        (
            observed(queued=9, running_ages=(1.0,) * 2, draining=1),
            replace(CLOUD, max_workers=3),
            "KEEP 2: the maximum of 3 is reached, 1 of them draining; ",
        ),
    ],
)
def test_the_reason_for_keeping_the_fleet_says_what_stands_in_the_way(
    observation: Observation, limits: Limits, reason: str
) -> None:
    assert decide(observation, limits).reason.startswith(reason)


@pytest.mark.parametrize(
    "observation",
    [
        observed(queued=2, learned=LONG_JOBS),
        observed(
            idle=1,
            learned=replace(
                LONG_JOBS,
                idle_gap_seconds=lambda _: BREAK_EVEN_SECONDS + 1,
                net_idle_seconds=lambda _: BREAK_EVEN_SECONDS + 1,
            ),
        ),
        observed(queued=3, running_ages=(0.1,) * 5, learned=PROVEN),
        observed(queued=3, oldest_seconds=46.0, running_ages=(10.0,) * 99, booting_ages=(5.0,), learned=LONG_QUEUE),
        observed(learned=BATCH_DUE),
        observed(idle=3, learned=BATCH_LATER),
    ],
    ids=["launch", "drain", "proven", "waited in vain", "before a batch", "between two batches"],
)
def test_the_reason_can_be_checked_by_hand(observation: Observation) -> None:
    """docs/scaling.md explains exactly this text."""
    assert f"```\n{decide(observation, CLOUD).reason}\n```" in DOCUMENT.read_text()


@pytest.mark.parametrize("slots", [1, 4, 16])
@pytest.mark.parametrize("running", [0, 20])
@pytest.mark.parametrize("service_seconds", [30.0, 600.0, 36_000.0, 259_200.0])
def test_a_longer_queue_gets_no_fewer_workers(service_seconds: float, running: int, slots: int) -> None:
    """Long queues are scheduled in groups, so up to a tenth can be lost in rounding. No more slots come than jobs."""
    queues = (1, 10, 100, 300, 399, 1000, 3000, 10_000, 100_000, 1_000_000)
    limits = replace(CLOUD, slots_per_worker=slots, max_workers=5000)
    launches = [
        decide(
            observed(
                queued=queued,
                running_ages=(1.0,) * running * slots,
                busy=running,
                learned=estimates(service_seconds=service_seconds),
            ),
            limits,
        ).launch
        for queued in queues
    ]
    assert all(launch <= -(-queued // slots) for launch, queued in zip(launches, queues, strict=True)), launches
    assert all(longer >= 0.9 * shorter for shorter, longer in itertools.pairwise(launches)), launches
    assert launches[-1] >= 0.95 * (limits.max_workers - running)


def test_the_limits_hold_in_every_situation() -> None:
    limits = replace(CLOUD, max_workers=6)
    numbers = (0, 1, 3, 7)
    for queued, idle, busy, booting, draining in itertools.product(numbers, repeat=5):
        for learned in (UNUSED, LONG_JOBS, estimates(saved_seconds=90.0), BATCH_DUE, BATCH_LATER):
            observation = observed(
                queued=queued,
                idle=idle,
                running_ages=(5.0,) * busy,
                booting_ages=(5.0,) * booting,
                draining=draining,
                learned=learned,
            )
            decision = decide(observation, limits)
            assert decision.launch >= 0
            assert 0 <= decision.drain <= idle + busy
            is_needed = queued > 0 or decision.drain > idle
            assert not decision.drain or not is_needed or decision.is_over_maximum
            assert not decision.is_over_maximum or idle + busy + booting - decision.drain >= limits.max_workers
            assert not (decision.launch and decision.drain)
            assert not decision.launch or idle + busy + booting + draining + decision.launch <= limits.max_workers


def test_a_decision_about_a_large_system_takes_little_time() -> None:
    """1,000 instances, 7,200 running jobs, 1,000,000 queued jobs of 50 functions."""
    observation = replace(
        observed(learned=LONG_JOBS),
        queued={f"f{number}": 20_000 for number in range(50)},
        running_ages=[float(number % 900) for number in range(7200)],
        busy=900,
        booting_ages=[float(number % 90) for number in range(100)],
    )
    limits = replace(CLOUD, max_workers=10_000, slots_per_worker=8)
    before_a_batch = replace(observation, queued={}, estimates=replace(BATCH_DUE, batch=replace(BATCH, workers=5000)))
    for each in (observation, before_a_batch):
        seconds = []
        for _ in range(5):
            started_at = time.process_time()
            assert decide(each, limits).launch > 0
            seconds.append(time.process_time() - started_at)
        assert min(seconds) <= 0.05


def test_the_policy_imports_only_the_standard_library() -> None:
    tree = ast.parse(Path(scaler.policy.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
