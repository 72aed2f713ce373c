"""How many workers there should be: a table of situations, and what holds in all of them."""

import ast
import itertools
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import scaler.policy
from scaler.policy import Limits, Observation, ScheduledMinimum, decide
from tests.unit.scaler.observations import CLOUD, estimates, observed

LONG = estimates(service_seconds=3600.0)
SHORT = estimates(service_seconds=1.0)
UNUSED = estimates(idle_gap_seconds=181.0)
DOCUMENT = Path(scaler.policy.__file__).parents[1] / "docs" / "scaling.md"

SITUATIONS = {
    "nothing to do, nobody there": (observed(), CLOUD, 0, 0),
    "the first job": (observed(queued=1), CLOUD, 1, 0),
    "a worker for each long job": (observed(queued=5, known=LONG), CLOUD, 5, 0),
    "few workers for many short jobs": (observed(queued=100, known=SHORT), CLOUD, 7, 0),
    "waiting worth more, more workers": (observed(queued=100, known=SHORT), replace(CLOUD, wait_weight=16.0), 33, 0),
    "never more than the maximum": (observed(queued=5, known=LONG), replace(CLOUD, max_workers=4), 4, 0),
    "never more than the budget": (
        observed(queued=5, known=LONG),
        replace(CLOUD, hourly_budget=1.0, hourly_price=0.4),
        2,
        0,
    ),
    "those that boot are enough": (observed(queued=2, booting_ages=(80.0, 80.0), known=LONG), CLOUD, 0, 0),
    "those that boot count": (observed(queued=3, booting_ages=(10.0, 10.0), known=LONG), CLOUD, 1, 0),
    "idle ones take the queue": (observed(queued=2, idle=2), CLOUD, 0, 0),
    "those that drain take no job": (observed(queued=2, draining=1, known=LONG), CLOUD, 2, 0),
    "those that drain count against the maximum": (
        observed(queued=9, draining=3, known=LONG),
        replace(CLOUD, max_workers=4),
        1,
        0,
    ),
    "many young short jobs will soon make room": (observed(queued=1, running_ages=(1.0,) * 20), CLOUD, 0, 0),
    "one that has just begun may soon be done": (
        observed(queued=1, running_ages=(0.0,), known=estimates(service_seconds=20.0)),
        CLOUD,
        0,
        0,
    ),
    "it is soon seen whether it is": (
        observed(queued=2, running_ages=(10.0,), known=estimates(service_seconds=60.0)),
        CLOUD,
        0,
        0,
    ),
    "the last of a few to come free takes long": (
        observed(queued=4, running_ages=(10.0, 10.0), known=estimates(service_seconds=60.0)),
        CLOUD,
        1,
        0,
    ),
    "an old long job will not": (observed(queued=1, running_ages=(50_000.0,), known=LONG), CLOUD, 1, 0),
    "proven by recent demand": (
        observed(queued=3, running_ages=(0.1,) * 5, known=estimates(service_seconds=1.0, saved_seconds=90.0)),
        CLOUD,
        3,
        0,
    ),
    "the minimum without any job": (observed(), replace(CLOUD, min_workers=2), 2, 0),
    "unused, but not for long": (observed(idle=3, known=estimates(idle_gap_seconds=179.0)), CLOUD, 0, 0),
    "unused for long": (observed(idle=3, known=UNUSED), CLOUD, 0, 3),
    "unused for long, down to the minimum": (observed(idle=3, known=UNUSED), replace(CLOUD, min_workers=1), 0, 2),
    "used now and then, at a loss": (
        observed(idle=1, known=estimates(idle_gap_seconds=5.0, net_idle_seconds=181.0)),
        CLOUD,
        0,
        1,
    ),
    "used now and then, and worth it": (
        observed(idle=1, known=estimates(idle_gap_seconds=5.0, net_idle_seconds=179.0)),
        CLOUD,
        0,
        0,
    ),
    "kept for as long as the operator says": (
        observed(idle=1, known=UNUSED),
        replace(CLOUD, min_idle_seconds=200.0),
        0,
        0,
    ),
    "waiting worth more, kept for longer": (observed(idle=1, known=UNUSED), replace(CLOUD, wait_weight=2.0), 0, 0),
    "a crowd would wait without it: kept for longer": (
        observed(idle=1, known=estimates(idle_gap_seconds=900.0, miss_cost_seconds=5000.0)),
        CLOUD,
        0,
        0,
    ),
    "patience learned to be short": (
        observed(idle=1, known=estimates(idle_gap_seconds=19.0, hold_factor=0.1)),
        CLOUD,
        0,
        1,
    ),
    "busy ones are never drained": (observed(running_ages=(5.0,), known=UNUSED), CLOUD, 0, 0),
    "nothing is let go while jobs wait": (
        observed(queued=30, idle=1, booting_ages=(80.0,) * 30, known=UNUSED),
        CLOUD,
        0,
        0,
    ),
    "nothing is let go on stale numbers": (observed(idle=3, known=UNUSED, stale=True), CLOUD, 0, 0),
    "the maximum was lowered": (
        observed(queued=9, idle=1, running_ages=(5.0,) * 5),
        replace(CLOUD, max_workers=4),
        0,
        1,
    ),
    "no worker is wanted at all": (observed(queued=9), replace(CLOUD, max_workers=0), 0, 0),
}


@pytest.mark.parametrize(("observation", "limits", "launch", "drain"), SITUATIONS.values(), ids=SITUATIONS.keys())
def test_decision(observation: Observation, limits: Limits, launch: int, drain: int) -> None:
    decision = decide(observation, limits)
    assert (decision.launch, decision.drain) == (launch, drain), decision.reason


@pytest.mark.parametrize(("minute", "workers"), [(8 * 60 - 1, 0), (8 * 60, 5), (18 * 60 - 1, 5), (18 * 60, 0)], ids=str)
def test_the_warm_floor_follows_its_schedule(minute: int, workers: int) -> None:
    warm = replace(CLOUD, min_workers_schedule=(ScheduledMinimum(5, 8 * 60, 18 * 60, weekdays=(0,)),))
    monday = 4 * 86_400
    assert decide(observed(now=monday + minute * 60), warm).launch == workers
    assert decide(observed(now=monday + 86_400 + minute * 60), warm).launch == 0


@pytest.mark.parametrize(
    "observation",
    [
        observed(queued=2, known=LONG),
        observed(idle=1, known=replace(LONG, idle_gap_seconds=lambda _: 181.0, net_idle_seconds=lambda _: 181.0)),
        observed(queued=3, running_ages=(0.1,) * 5, known=estimates(service_seconds=1.0, saved_seconds=90.0)),
    ],
    ids=["launch", "drain", "proven"],
)
def test_the_reason_can_be_checked_by_hand(observation: Observation) -> None:
    """It is word for word the one that the operator's page works out."""
    assert f"```\n{decide(observation, CLOUD).reason}\n```" in DOCUMENT.read_text()


def test_whatever_is_seen_the_limits_hold() -> None:
    limits = replace(CLOUD, max_workers=6)
    numbers = (0, 1, 3, 7)
    for queued, idle, busy, booting, draining in itertools.product(numbers, repeat=5):
        for known in (UNUSED, LONG, estimates(saved_seconds=90.0)):
            observation = observed(queued, idle, (5.0,) * busy, (5.0,) * booting, draining, known)
            decision = decide(observation, limits)
            assert decision.launch >= 0
            assert 0 <= decision.drain <= idle
            assert not (decision.launch and decision.drain)
            assert not decision.launch or idle + busy + booting + draining + decision.launch <= limits.max_workers


def test_a_large_system_is_decided_on_in_no_time() -> None:
    """1,000 instances, 8,000 running jobs, 1,000,000 queued ones of 50 functions."""
    observation = replace(
        observed(known=LONG),
        queued={f"f{number}": 20_000 for number in range(50)},
        running_ages=[float(number % 900) for number in range(7200)],
        busy=900,
        booting_ages=[float(number % 90) for number in range(100)],
    )
    limits = replace(CLOUD, max_workers=10_000, slots_per_worker=8)
    seconds = []
    for _ in range(5):
        begun = time.process_time()
        assert decide(observation, limits).launch > 0
        seconds.append(time.process_time() - begun)
    assert min(seconds) <= 0.05


def test_the_policy_imports_the_standard_library_only() -> None:
    tree = ast.parse(Path(scaler.policy.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
