"""Made faults: the overview tells each in a sentence, with the page that explains it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from jobqueue.functions import FunctionRegistry
from jobqueue.inspection.counters import CallbackCounts, FunctionCounts, QueueCounts, ShardCounts
from jobqueue.workers.registry import WorkerView
from manager.api_keys.caller import NOBODY_IN_PARTICULAR, Caller
from manager.dashboard.attention import Attention
from manager.dashboard.live_pages import LivePages
from manager.dashboard.rendering import Pages
from manager.dashboard.sampler import Sample
from manager.dashboard.signs import Signs
from manager.queue.connection import QueueConnection
from manager.queue.watched_servers import SeenServers
from scaler.fleets.fleet import Cause
from scaler.fleets.instances import Instance
from scaler.state.launch_breaker import FAILED_BOOTS_TO_OPEN, LaunchBreaker
from scaler.state.leader_election import Leadership
from scaler.state.operator_overrides import Overrides
from scaler.state.store import ScalerState
from scaler.view import ScalerView

NOW = 1_800_000_000.0
WAITING = ShardCounts({"default": QueueCounts(queued=9, oldest_seconds=300.0)})
NO_BOOTS = LaunchBreaker().after_boots(0, FAILED_BOOTS_TO_OPEN, NOW)
COOLING = LaunchBreaker({"a": NOW + 60}, last_failure="InsufficientInstanceCapacity in a")
NO_POOL = "HELD BACK to 0, because no capacity pool can be tried yet: InsufficientInstanceCapacity in a; LAUNCH 1: x"
LEADER = Leadership(is_leader=False, epoch=1, address="10.0.0.1:5000")


class TwoShards:
    """Stands for the connection to a queue of two shards, none of which is being moved."""

    service = property(lambda self: self)
    shards = property(lambda self: self)
    moving = refused_servers = risky_settings = property(lambda _: {})

    def __len__(self) -> int:
        return 2


class OfAServerWithoutAFile(TwoShards):
    """The same, whose server would lose jobs in a crash."""

    risky_settings = property(lambda _: {"10.0.0.1:6379": "set appendonly yes"})


def overview(made: Sample, caller: Caller = NOBODY_IN_PARTICULAR, queue: TwoShards | None = None) -> str:
    attention = Attention(cast(QueueConnection, queue or TwoShards()), FunctionRegistry.discover(()))
    return LivePages(Pages("", asks_for_keys=True), attention, 0.0).part("overview", made, caller).replace("&#39;", "'")


def worker(running: int, slots: int = 4, queues: tuple[str, ...] = ("*",)) -> WorkerView:
    return WorkerView("w", "h", 1, queues, "busy", slots, running, 0, 0, "", "", None, None, 1.0, native=True)


def scaler(
    reason: str = "",
    *,
    decided_at: float = NOW,
    leadership: Leadership | None = LEADER,
    breaker: LaunchBreaker | None = None,
    paused: bool = False,
    **instances: Instance,
) -> ScalerView:
    state = ScalerState(
        now=NOW, instances=instances, launch_breaker=breaker or LaunchBreaker(), overrides=Overrides(paused=paused)
    )
    return ScalerView(state, leadership, {"at": decided_at, "reason": reason}, (), ())


def failing(failed: int, finished: int) -> ShardCounts:
    return ShardCounts(functions=FunctionCounts(failed={"pay": 100 + failed}, finished={"pay": 900 + finished}))


FAULTS: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "dead shard": ({"unavailable": 1}, "1 of 2 shards do not answer: their jobs wait", ""),
    "dead shard of a server that is known": (
        {"unavailable": 1, "signs": Signs(silent_servers=["Redis at 10.0.0.1:6379 is away"])},
        "1 of 2 shards do not answer: their jobs wait, and are not counted here (Redis at 10.0.0.1:6379 is away):",
        "",
    ),
    "stuck queue": (
        {"counts": WAITING, "workers": [worker(1)]},
        "queue 'default' is stuck: its next job has waited for 5 min, and 3 slots",
        "/dashboard/jobs?status=queued&amp;queue=default",
    ),
    "paused queue": (
        {"counts": replace(WAITING, paused={"default": "now"})},
        "9 jobs wait: queue 'default' is paused",
        "/dashboard/queues",
    ),
    "one job in a paused queue": (
        {"counts": ShardCounts({"default": QueueCounts(queued=1)}, paused={"default": "now"})},
        "1 job waits: queue 'default' is paused",
        "/dashboard/queues",
    ),
    "failing function": (
        {"counts": failing(12, 3), "before": failing(0, 0)},
        "function 'pay' fails: 12 of its last 15 jobs",
        "/dashboard/failures",
    ),
    "no capacity": (
        {"scaler": scaler(NO_POOL, breaker=COOLING)},
        "launches are held back: InsufficientInstanceCapacity in a",
        "/dashboard/scaler",
    ),
    "breaker": (
        {"scaler": scaler(breaker=NO_BOOTS)},
        "launched instances never become workers (5 in a row), so one at a time is tried: the leader's log names",
        "/dashboard/scaler",
    ),
    "no capacity after failed boots": (
        {"scaler": scaler(NO_POOL, breaker=NO_BOOTS.after_failure(Cause.CAPACITY, "a", "none in a", NOW, 0.0))},
        "launches are held back: none in a",
        "/dashboard/scaler",
    ),
    "dead receiver": (
        {"counts": ShardCounts(callbacks=CallbackCounts(waiting=7, oldest_seconds=600.0))},
        "a receiver takes no callbacks: 7 wait, the first for 10 min",
        "/dashboard/callbacks?status=failing",
    ),
    "callbacks that were given up": (
        {"counts": ShardCounts(callbacks=CallbackCounts(given_up=3))},
        "3 callbacks were given up",
        "/dashboard/callbacks?status=dead",
    ),
    "late schedule": (
        {"signs": Signs(late_schedules={"a/b": 125.0})},
        "schedule 'a/b' is late by 2 min 5 s",
        "/dashboard/schedules/a%2Fb",
    ),
    "missed schedule": (
        {"counts": ShardCounts(schedule_runs={"missed": 5}), "before": ShardCounts(schedule_runs={"missed": 3})},
        "2 runs of schedules were missed in the last minutes",
        "/dashboard/schedules",
    ),
    "reached limit": (
        {"counts": WAITING, "scaler": scaler("KEEP 3: the maximum of 3 is reached; queued=9")},
        "jobs have waited for up to 5 min, and the maximum of 3 is reached",
        "/dashboard/scaler",
    ),
    "full memory": (
        {"signs": Signs(full_servers=["Redis at 10.0.0.1:6379 has used 93% of its memory"])},
        "Redis at 10.0.0.1:6379 has used 93% of its memory: new jobs are refused until",
        "",
    ),
    "append-only file": (
        {"servers": SeenServers({"10.0.0.1:6379": "a write has failed"})},
        "Redis at 10.0.0.1:6379 may not start again from its append-only file: a write has failed",
        "",
    ),
    "cluster": ({"servers": SeenServers(cluster={"requires_operator": ["start host b"]})}, "start host b", ""),
    "main process that hangs": ({"servers": None}, "the main process of this manager does not answer", ""),
    "stale leader": (
        {"scaler": scaler(decided_at=NOW - 90)},
        "the manager 10.0.0.1:5000 leads the scaler, but has decided nothing for 1 min 30 s",
        "/dashboard/scaler",
    ),
    "no leader": (
        {"scaler": scaler(leadership=None, one=Instance("one", launched_at=1.0))},
        "no manager runs the scaler, although it has instances",
        "/dashboard/scaler",
    ),
}


def sample(**made: Any) -> Sample:
    return Sample(1, NOW, NOW, **made)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_with_the_page_that_explains_it(fault: tuple[dict[str, Any], str, str]) -> None:
    made, sentence, page = fault
    text = overview(sample(**made))
    assert sentence in text
    told = text[text.index(sentence) :].partition("</li>")[0]
    assert (f'<a href="{page}">' in told) if page else ("<a" not in told)


@pytest.mark.parametrize(
    "well",
    [
        {"counts": WAITING, "workers": [worker(4)]},
        {"scaler": scaler("LAUNCH 1: there are other pools", breaker=COOLING)},
        {"counts": WAITING, "workers": [worker(1, queues=("other",))]},
        {"counts": ShardCounts({"default": QueueCounts(queued=9, oldest_seconds=30.0)}), "workers": [worker(1)]},
        {"counts": failing(2, 0), "before": failing(0, 0)},
        {"counts": failing(12, 30), "before": failing(0, 0)},
        {"counts": failing(12, 0)},  # Nobody has looked before.
        {"counts": ShardCounts(callbacks=CallbackCounts(waiting=7, oldest_seconds=6.0))},
        {"scaler": scaler("KEEP 3: the maximum of 3 is reached; queued=9")},
        {"scaler": scaler(decided_at=NOW - 5)},
    ],
    ids=range(10),
)
def test_what_is_usual_is_no_fault(well: dict[str, Any]) -> None:
    assert "Nothing needs a person" in overview(sample(**well))


def test_pages_that_a_caller_may_not_open_are_not_linked_and_other_queues_not_told() -> None:
    made = sample(counts=replace(WAITING, paused={"default": "now"}, suspended=True), scaler=scaler(paused=True))
    bound = Caller.of("a", ["jobs:read"], ["default"])
    tenant = overview(made, bound)
    assert "queue 'default' is paused" in tenant
    assert "all workers are suspended" in tenant
    assert ("See queues" in tenant, "See workers" in tenant) == (True, False)
    assert "See workers" in overview(made)
    assert "the scaler" not in tenant
    assert "paused" not in overview(made, Caller.of("a", ["jobs:read"], ["mine"]))


def test_a_server_that_can_lose_jobs_is_told_to_those_who_see_servers() -> None:
    told = "Redis at 10.0.0.1:6379 can lose jobs: set appendonly yes"
    bound = Caller.of("a", ["jobs:read"], ["default"])
    assert told in overview(sample(), queue=OfAServerWithoutAFile())
    assert told not in overview(sample(), bound, OfAServerWithoutAFile())


def test_of_many_stuck_queues_those_that_wait_longest_are_named() -> None:
    queues = {f"q{number:03}": QueueCounts(queued=1, oldest_seconds=100.0 + number) for number in range(200)}
    text = overview(sample(counts=ShardCounts(queues), workers=[worker(1)] * 1000))
    assert text.count(" is stuck:") == 5
    assert "queue 'q199' is stuck: its next job has waited for 4 min 59 s, and 3,000 slots" in text
    assert "195 more queues are stuck in the same way" in text
