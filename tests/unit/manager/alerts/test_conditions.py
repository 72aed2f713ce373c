"""What is told to be wrong, by what was read."""

from dataclasses import replace
from typing import get_args

import pytest

from jobqueue.inspection.counters import QueueCounts, ShardCounts
from manager.alerts.conditions import HOLD_SECONDS, QUIET_SECONDS, Condition, Facts, Growth, conditions
from manager.settings import AlertKind
from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import InstancePhase
from scaler.policy import Limits
from scaler.state.launch_breaker import FAILED_BOOTS_TO_OPEN, LaunchBreaker
from scaler.state.leader_election import Leadership
from scaler.state.store import ScalerState
from scaler.view import InstanceView, ScalerView
from tests.unit.scaler.factories import instance

NOW = 1_900_000_000.0
WAITING = ShardCounts(queues={"high": QueueCounts(queued=3, oldest_seconds=90.0)})
BUDGET = Limits(min_workers=0, max_workers=10, hourly_budget=2.0, hourly_price=1.0)


def view(*, leads: bool = True, failures: int = 0, instances: int = 0) -> ScalerView:
    state = ScalerState(now=NOW, launch_breaker=LaunchBreaker(failed_boots=failures, last_failure="no boot"))
    one: Instance = instance("i", NOW)
    shown = [InstanceView(one, InstancePhase.BUSY, None)] * instances
    return ScalerView(state, Leadership(False, 1, "host:1") if leads else None, None, [], shown)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(NOW), {}),
        (Facts(NOW, shards_away=["{rq:1}"]), {("shard_away", "{rq:1}"): "shard {rq:1} does not answer"}),
        (Facts(NOW, counts=WAITING), {}),
        (Facts(NOW, counts=WAITING, wait_target_seconds=120.0), {}),
        (
            Facts(NOW, counts=WAITING, wait_target_seconds=60.0),
            {("wait_target_missed", "high"): "has waited for 90 s: the target is 60 s"},
        ),
        (Facts(NOW, counts=replace(WAITING, paused={"high": ""}), wait_target_seconds=60.0), {}),
        (Facts(NOW, backups={"a": NOW - 3600}), {}),
        (Facts(NOW, backups={"a": NOW - 4 * 3600}), {("backup_failed", "a"): "no backup for 4.0 hours"}),
        (Facts(NOW, dead_letters={"failed jobs": Growth(7)}), {}),
        (
            Facts(NOW, dead_letters={"failed jobs": Growth(7).after(9, NOW)}),
            {("dead_letters", "failed jobs"): "failed jobs: 2"},
        ),
        (Facts(NOW, scaler=view()), {}),
        (Facts(NOW, scaler=view(leads=False)), {("no_leader", ""): "no manager runs the scaler"}),
        (Facts(NOW, scaler=view(failures=FAILED_BOOTS_TO_OPEN)), {("breaker_open", ""): "no boot"}),
        (Facts(NOW, counts=WAITING, scaler=view(instances=2), limits=BUDGET), {("budget_reached", ""): "2 workers"}),
        (Facts(NOW, counts=WAITING, scaler=view(instances=1), limits=BUDGET), {}),
        (Facts(NOW, scaler=view(instances=2), limits=BUDGET), {}),
        (Facts(NOW, counts=WAITING, scaler=view(instances=2), limits=replace(BUDGET, hourly_budget=None)), {}),
    ],
)
def test_conditions(facts: Facts, expected: dict[tuple[str, str], str]) -> None:
    found = conditions(facts)
    assert set(found) == {Condition(*key) for key in expected}
    assert all(text in found[Condition(*key)] for key, text in expected.items())
    assert all(condition.kind in HOLD_SECONDS for condition in found)


def test_dead_letters_are_over_after_a_quiet_time_and_a_missing_shard_does_not_count() -> None:
    growth = Growth(10).after(12, NOW).after(13, NOW + 60)
    assert (growth.total, growth.from_total, growth.began_at) == (13, 10, NOW)
    assert growth.after(5, NOW + 61) == growth
    assert growth.after(13, NOW + 60 + QUIET_SECONDS) == growth
    quiet = growth.after(13, NOW + 61 + QUIET_SECONDS)
    assert quiet == Growth(13)
    assert quiet.after(14, NOW + 9999).from_total == 13


def test_each_kind_can_be_wanted() -> None:
    assert set(get_args(AlertKind)) == set(HOLD_SECONDS)
