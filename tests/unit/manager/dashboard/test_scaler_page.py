"""The scaler's decisions in plain words, and its last minutes on one time axis."""

import pytest

from jobqueue.inspection.counters import QueueCounts, ShardCounts
from manager.dashboard.charts import WIDTH
from manager.dashboard.sampler import Point, point_of
from manager.dashboard.views.scaler_timeline import LANE_HEIGHT, draw_timeline
from manager.explain.scaler_reasons import in_plain_words
from scaler.policy import decide
from tests.unit.scaler.test_policy import SITUATIONS, Situation


@pytest.mark.parametrize("situation", SITUATIONS.values(), ids=SITUATIONS.keys())
def test_every_decision_is_told_in_plain_words(situation: Situation) -> None:
    reason = decide(situation.observation, situation.limits).reason
    assert in_plain_words(reason), reason
    assert "\\" not in in_plain_words(reason)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            "LAUNCH 2: wait 500 -> 100 job-seconds saves 400s, cost 120s; queued=7 idle=0",
            "The waiting jobs would wait 500 s in all without more workers, and 100 s with them:"
            " that is worth their price.",
        ),
        ("KEEP 3: the maximum of 3 is reached; queued=9", "More workers would help, but there may be no more than 3."),
        ("PAUSED: nothing is launched or drained; without the pause LAUNCH 2: x", "The scaler is paused:"),
        (
            "HELD BACK to 0, because no capacity pool can be tried yet: InsufficientCapacity; LAUNCH 1: the"
            " minimum is 1; queued=0",
            "Launches are held back to 0, because one has failed: InsufficientCapacity. No fewer than 1 are kept",
        ),
        (
            "HELD BACK to 2, because a launch has failed: there is no room.; LAUNCH 1: the minimum is 1; queued=0",
            "Launches are held back to 2, because one has failed: there is no room. No fewer than 1 are kept",
        ),
        ("UPDATE: drain 1, replace 2 of 8 outdated workers; KEEP 8: the minimum is 8", "8 workers are of an earlier"),
        ("KEEP 1, because a job has come that they could run; DRAIN 1: 1 above the maximum of 2", "1 of them stay"),
        (
            "KEEP 1: level 1 unused for 40s, idle 40s net; hold factor 1 of break-even 180s = launch 90s + w * 90 job",
            "The last of them was needed 40 s ago, and a new one costs 90 s before it works",
        ),
        (
            "LAUNCH 2: waited in vain for a busy slot: w * 46s >= 0.5 of launch 90s, and the jobs are long; queued=3",
            "Long jobs have waited for a busy worker for 46 s",
        ),
        (
            "LAUNCH 2: a batch of 5 jobs comes every 240s, next in 40s, and a new worker takes 40s; 2 workers cost",
            "A batch of 5 jobs comes every 240 s, the next one in 40 s, and a new worker takes 40 s: they are launched",
        ),
        (
            "KEEP 1: a batch of 1 job comes every 240s, next in 40s; idling until then <= launch 60s; 1 of 1 idle",
            "A batch of 1 job comes every 240 s, the next one in 40 s: to keep workers for it is cheaper than new",
        ),
        (
            "DRAIN 1: a batch of 1 job comes every 99s, next in 9s (the last did not come); idling until then > launch",
            "A batch of 1 job comes every 99 s, the next one in 9 s: new workers for it are cheaper than idle ones.",
        ),
        (
            "DRAIN 1: a batch of 5 jobs comes every 240s, next in 90s; 2 workers cost least, and other jobs",
            "A batch of 5 jobs comes every 240 s, the next one in 90 s: 2 workers are enough for it.",
        ),
        ("of another version", ""),
    ],
)
def test_what_limits_a_decision_is_told_first(reason: str, words: str) -> None:
    assert in_plain_words(reason).startswith(words)
    assert bool(words) == bool(in_plain_words(reason))


def point(at: float, **numbers: int) -> Point:
    usual = dict.fromkeys(("waiting", "running", "workers", "enqueued", "finished", "failed"), 0)
    return Point(at=at, **usual | numbers)


def test_demand_is_what_runs_and_what_workers_could_run() -> None:
    queues = {
        "a": QueueCounts(queued=5, started=2),
        "unserved": QueueCounts(queued=40),
        "paused": QueueCounts(queued=300),
    }
    made = point_of(1.0, ShardCounts(queues, paused=frozenset({"paused"})), 3, {"unserved"}, None)
    assert (made.waiting, made.running, made.demand, made.instances) == (345, 2, 7, 0)


def decision(at: object, launch: object = 0, drain: int = 0) -> dict[str, object]:
    return {"at": at, "launch": launch, "drain": drain, "reason": "", "numbers": {}}


def test_jobs_instances_and_cost_share_one_time_axis() -> None:
    history = [
        point(700.0, waiting=99),  # too long ago
        point(1000.0, waiting=8, demand=4),
        point(1150.0, waiting=4, demand=4, instances=2, booting=2),
        point(1300.0, demand=2, instances=2, idle=1, busy=1),
    ]
    made = [decision(1150.0, launch=2), decision(1300.0, drain=1), decision(999.0, launch=9), decision(1200.0)]
    drawn = draw_timeline(history, [*made, decision("x", launch=1), decision(1200.0, launch=None), {}], 0.5)
    assert drawn is not None
    assert [lane.name for lane in drawn.lanes] == ["Jobs", "Instances", "Cost per hour"]
    assert drawn.height == 3 * LANE_HEIGHT
    for lane in drawn.lanes:
        for line in lane.lines:
            assert [text.partition(",")[0] for text in line.points.split()] == [
                "0.0",
                f"{WIDTH / 2:.1f}",
                f"{WIDTH:.1f}",
            ]
    jobs, instances, cost = drawn.lanes
    assert (jobs.most, instances.most, cost.most) == (8, 2, 1.0)
    assert [(line.name, line.now) for line in instances.lines] == [("booting", 0), ("idle", 1), ("busy", 1)]
    heights = [float(text.partition(",")[2]) for text in jobs.lines[0].points.split()]
    assert heights == [6 - 1, (LANE_HEIGHT - 1) - 47, LANE_HEIGHT - 1]
    assert [(mark.x, mark.kind, mark.text) for mark in drawn.marks] == [
        (WIDTH / 2, "launch", "2 launched"),
        (WIDTH, "drain", "1 drained"),
    ]


def test_without_a_price_there_is_no_cost_and_without_a_past_nothing() -> None:
    drawn = draw_timeline([point(1.0)], [], 0.0)
    assert drawn is not None
    assert [lane.name for lane in drawn.lanes] == ["Jobs", "Instances"]
    assert draw_timeline([], [], 1.0) is None
