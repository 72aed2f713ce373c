"""Schedules run at each instant once, whoever fires them, and on one Redis as on a cluster."""

import asyncio
from dataclasses import replace

import pytest

from jobqueue import keys
from jobqueue.lifecycle.control import delete
from jobqueue.lifecycle.finish import finish
from jobqueue.sharding.shards import Shards
from manager.schedules.firing import ScheduleFiring
from manager.schedules.plan import plan
from manager.schedules.record import CatchUp, Pause
from manager.schedules.run_ids import run_id
from manager.schedules.runs import Attempt, fire
from manager.schedules.store import (
    delete_schedule,
    read_history,
    read_schedule,
    save_schedule,
)
from tests.integration.jobqueue.queue_helpers import (
    claim_jobs,
    enqueue_jobs,
    failed_outcome,
    job_fields,
    job_status,
    queued_ids,
    stopped_outcome,
)
from tests.integration.manager.schedules.schedule_harness import (
    CREATED,
    NOW,
    a_schedule,
    create,
    end_job,
    progress_of,
    rows,
)

MINUTE = 60.0


async def test_two_managers_run_an_instant_once(shards: Shards, manager: ScheduleFiring) -> None:
    shard = await create(shards, a_schedule())
    await manager.fire_due(shard, now=NOW + 59)
    assert await queued_ids(shard) == []
    others = [ScheduleFiring(shards) for _ in range(4)]
    await asyncio.gather(*(each.fire_due(shard, now=NOW + MINUTE) for each in [manager, *others]))
    (job_id,) = await queued_ids(shard)
    assert job_id == run_id("nightly", NOW + MINUTE, len(shards))
    assert shards.of(job_id) is shard
    assert job_id.startswith("nightly-20300317T174800Z")
    assert await job_status(shard, job_id) == "queued"
    assert await rows(shard) == [("fired", NOW + MINUTE)]
    assert (await progress_of(shard)).next == NOW + 2 * MINUTE


async def test_a_clock_that_steps_back_runs_nothing_again(shards: Shards, manager: ScheduleFiring) -> None:
    shard = await create(shards, a_schedule(overlap="allow"))
    for minute in (1, 2, 3, 0, 1, 2, 3, 4):
        await manager.fire_due(shard, now=NOW + minute * MINUTE)
    assert await rows(shard) == [("fired", NOW + minute * MINUTE) for minute in (1, 2, 3, 4)]


async def test_a_schedule_that_is_deleted_and_created_again_does_not_run_an_instant_again(
    shards: Shards, manager: ScheduleFiring
) -> None:
    shard = await create(shards, a_schedule())
    await manager.fire_due(shard, now=NOW + MINUTE)
    assert await delete_schedule(shard, "nightly", await progress_of(shard), CREATED) == "saved"
    stored, left, _ = await read_schedule(shard, "nightly")
    assert stored is None
    assert left.last == NOW + MINUTE
    assert await read_history(shard, "nightly") == ([], [])


async def test_of_missed_instants_the_latest_is_caught_up(shards: Shards, manager: ScheduleFiring) -> None:
    shard = await create(shards, a_schedule(catch_up=CatchUp(600, "latest")))
    await manager.fire_due(shard, now=NOW + 5 * MINUTE + 30)
    assert await rows(shard) == [("missed", NOW + MINUTE), ("fired", NOW + 5 * MINUTE)]
    (history, _) = await read_history(shard, "nightly")
    assert history[1]["count"] == 4
    assert history[0]["late_seconds"] == 30
    assert (await progress_of(shard)).missed == 4
    counts = await shard.execute(("HGETALL", keys.schedule_counts(shard.prefix)))
    assert dict(zip(counts[0][::2], counts[0][1::2], strict=True)) == {b"missed": b"4", b"fired": b"1", b"late": b"1"}


async def test_all_missed_instants_can_be_caught_up_in_order(shards: Shards, manager: ScheduleFiring) -> None:
    shard = await create(shards, a_schedule(overlap="allow", catch_up=CatchUp(150, "all")))
    await manager.fire_due(shard, now=NOW + 5 * MINUTE + 30)
    assert await rows(shard) == [("missed", NOW + MINUTE), *(("fired", NOW + n * MINUTE) for n in (3, 4, 5))]
    assert len(await queued_ids(shard)) == 3


async def test_what_is_too_late_is_missed_and_the_schedule_goes_on(shards: Shards, manager: ScheduleFiring) -> None:
    shard = await create(shards, a_schedule(cron="48 17 * * *", catch_up=CatchUp(60, "latest")))
    await manager.fire_due(shard, now=NOW + 3 * MINUTE)
    assert await rows(shard) == [("missed", NOW + MINUTE)]
    assert await queued_ids(shard) == []
    progress = await progress_of(shard)
    assert (progress.next, progress.missed, progress.missed_at) == (NOW + MINUTE + 86400, 1, NOW + 3 * MINUTE)


async def test_skip_leaves_a_run_out_while_the_one_before_has_not_ended(
    shards: Shards, manager: ScheduleFiring
) -> None:
    shard = await create(shards, a_schedule(overlap="skip"))
    await manager.fire_due(shard, now=NOW + 1 * MINUTE)
    await manager.fire_due(shard, now=NOW + 2 * MINUTE)
    await end_job(shard, run_id("nightly", NOW + MINUTE, len(shards)))
    await manager.fire_due(shard, now=NOW + 3 * MINUTE)
    outcomes = [("fired", NOW + MINUTE), ("skipped", NOW + 2 * MINUTE), ("fired", NOW + 3 * MINUTE)]
    assert await rows(shard) == outcomes


async def test_queue_runs_one_after_another_however_long_each_takes(shards: Shards, manager: ScheduleFiring) -> None:
    shard = await create(shards, a_schedule(overlap="queue", catch_up=CatchUp(10, "latest")))
    await manager.fire_due(shard, now=NOW + MINUTE)
    for seconds in range(60, 60 * 30, 20):
        await manager.fire_due(shard, now=NOW + MINUTE + seconds)
    assert await rows(shard) == [("fired", NOW + MINUTE)]
    for number in range(1, 31):
        await end_job(shard, run_id("nightly", NOW + number * MINUTE, len(shards)))
        await manager.fire_due(shard, now=NOW + 30 * MINUTE + number / 10)
    assert await rows(shard) == [("fired", NOW + number * MINUTE) for number in range(1, 31)]
    assert not (await progress_of(shard)).held


async def test_replace_cancels_the_run_before_and_then_begins(shards: Shards, manager: ScheduleFiring) -> None:
    shard = await create(shards, a_schedule(overlap="replace"))
    first, second = (run_id("nightly", NOW + minute * MINUTE, len(shards)) for minute in (1, 2))
    await manager.fire_due(shard, now=NOW + MINUTE)
    await manager.fire_due(shard, now=NOW + 2 * MINUTE)
    assert (await job_status(shard, first), await job_status(shard, second)) == ("canceled", None)
    await manager.fire_due(shard, now=NOW + 2 * MINUTE + 0.5)
    assert await queued_ids(shard) == [second]


async def test_replace_stops_a_run_that_a_worker_has_begun_and_waits_for_its_end(
    shards: Shards, manager: ScheduleFiring
) -> None:
    shard = await create(shards, a_schedule(overlap="replace"))
    first, third = (run_id("nightly", NOW + minute * MINUTE, len(shards)) for minute in (1, 3))
    await manager.fire_due(shard, now=NOW + MINUTE)
    (claimed,) = await claim_jobs(shard, now=NOW + MINUTE)
    for seconds in (120, 121, 181):
        await manager.fire_due(shard, now=NOW + seconds)
    assert (await job_fields(shard, first))["wm_cancel"] == "1"
    assert await queued_ids(shard) == []
    await finish(shard, "w1", [stopped_outcome(claimed)], now=NOW + 182)
    await manager.fire_due(shard, now=NOW + 183)
    assert await queued_ids(shard) == [third]
    assert await rows(shard) == [
        ("fired", NOW + MINUTE),
        ("missed", NOW + 2 * MINUTE),  # the one after it has taken its place
        ("fired", NOW + 3 * MINUTE),
    ]


async def test_replace_leaves_a_job_of_another_queue_alone_that_has_the_id_of_a_deleted_run(
    shards: Shards, manager: ScheduleFiring
) -> None:
    shard = await create(shards, a_schedule(overlap="replace"))
    await manager.fire_due(shard, now=NOW + MINUTE)
    first = run_id("nightly", NOW + MINUTE, len(shards))
    await delete(shard, [first])
    await enqueue_jobs(shard, first, queue="of-somebody-else")
    await manager.fire_due(shard, now=NOW + 2 * MINUTE)
    assert await job_status(shard, first) == "queued"


async def test_a_run_that_waits_for_its_retry_has_not_ended(shards: Shards, manager: ScheduleFiring) -> None:
    schedule = a_schedule()
    retried = schedule.template._replace(retries=1, retry_intervals=(90,))
    shard = await create(shards, a_schedule(template=retried))
    await manager.fire_due(shard, now=NOW + MINUTE)
    (claimed,) = await claim_jobs(shard, now=NOW + MINUTE)
    await finish(shard, "w1", [failed_outcome(claimed)], now=NOW + MINUTE + 1)
    assert await job_status(shard, claimed.id) == "scheduled"
    await manager.fire_due(shard, now=NOW + 2 * MINUTE)
    assert (await rows(shard))[-1] == ("skipped", NOW + 2 * MINUTE)


async def test_of_runs_that_wait_a_hundred_are_kept(shards: Shards, manager: ScheduleFiring) -> None:
    shard = await create(shards, a_schedule(cron=None, every=1, overlap="queue"))
    await manager.fire_due(shard, now=NOW + 1)
    await manager.fire_due(shard, now=NOW + 500)
    await end_job(shard, run_id("nightly", NOW + 1, len(shards)))
    await manager.fire_due(shard, now=NOW + 500)
    assert await rows(shard) == [("fired", NOW + 1), ("missed", NOW + 2), ("fired", NOW + 401)]
    history, _ = await read_history(shard, "nightly")
    assert (history[1]["count"], history[0]["waited"]) == (399, True)


async def test_a_manager_that_was_held_up_changes_nothing_that_is_another_schedule_now(
    shards: Shards, manager: ScheduleFiring
) -> None:
    schedule = a_schedule()
    shard = await create(shards, schedule)
    read = await progress_of(shard)
    step = plan(schedule, read, NOW + MINUTE)
    assert step is not None
    paused = replace(read, pause=Pause(NOW, "me", ""))
    assert await save_schedule(shard, schedule, read, paused, CREATED) == "saved"
    job_id = run_id("nightly", NOW + MINUTE, len(shards))
    (fired,) = await fire(shard, [Attempt(schedule, read, step, job_id)], now=NOW + MINUTE)
    assert fired.outcome == "changed"
    assert await queued_ids(shard) == []
    # A save of what somebody else has changed is refused, and leaves the schedule as it is.
    assert await save_schedule(shard, schedule, read, read, CREATED) == "changed"
    assert (await progress_of(shard)).pause is not None


async def test_a_manager_that_was_held_up_does_not_run_what_the_schedule_was_before(shards: Shards) -> None:
    schedule = a_schedule()
    shard = await create(shards, schedule)
    read = await progress_of(shard)
    step = plan(schedule, read, NOW + MINUTE)
    changed = a_schedule(template=schedule.template._replace(queue="elsewhere"))
    assert await save_schedule(shard, changed, read, read, CREATED, keep_next=True) == "saved"
    job_id = run_id("nightly", NOW + MINUTE, len(shards))
    (fired,) = await fire(shard, [Attempt(schedule, read, step, job_id)], now=NOW + MINUTE)
    assert (fired.outcome, await job_status(shard, job_id)) == ("changed", None)


async def test_an_id_that_is_taken_by_another_job_is_not_overwritten(
    shards: Shards, manager: ScheduleFiring, caplog: pytest.LogCaptureFixture
) -> None:
    shard = await create(shards, a_schedule())
    job_id = run_id("nightly", NOW + MINUTE, len(shards))
    await enqueue_jobs(shard, job_id, queue="theirs")
    await manager.fire_due(shard, now=NOW + MINUTE)
    assert (await job_fields(shard, job_id))["origin"] == "theirs"
    assert "event=schedule_id_taken" in caplog.text
    assert await rows(shard) == [("missed", NOW + MINUTE)]
    assert (await progress_of(shard)).next == NOW + 2 * MINUTE


async def test_jitter_delays_every_run_by_the_same_time(shards: Shards, manager: ScheduleFiring) -> None:
    schedule = a_schedule(jitter_seconds=30)
    offset = schedule.offset_seconds
    assert 0 < offset < 30
    shard = await create(shards, schedule)
    await manager.fire_due(shard, now=NOW + MINUTE + offset - 0.1)
    assert await rows(shard) == []
    await manager.fire_due(shard, now=NOW + MINUTE + offset)
    assert await queued_ids(shard) == [run_id("nightly", NOW + MINUTE, len(shards))]


async def test_it_ends_after_its_last_run(shards: Shards, manager: ScheduleFiring) -> None:
    shard = await create(shards, a_schedule(overlap="allow", max_runs=2))
    for minute in range(1, 5):
        await manager.fire_due(shard, now=NOW + minute * MINUTE)
    assert await rows(shard) == [("fired", NOW + MINUTE), ("fired", NOW + 2 * MINUTE)]
    assert (await progress_of(shard)).next is None


async def test_a_run_is_the_job_that_was_submitted(shards: Shards, manager: ScheduleFiring) -> None:
    schedule = a_schedule()
    template = schedule.template._replace(queue="reports", timeout_seconds=5, retries=2, meta=b'{"a":1}', feed=False)
    shard = await create(shards, a_schedule(template=template))
    await manager.fire_due(shard, now=NOW + MINUTE)
    (job_id,) = await queued_ids(shard, "reports")
    fields = await job_fields(shard, job_id)
    assert {name: fields[name] for name in ("origin", "timeout", "retries_left", "meta", "wm_feed", "description")} == {
        "origin": "reports",
        "timeout": "5",
        "retries_left": "2",
        "meta": '{"a":1}',
        "wm_feed": "0",
        "description": "noop",
    }
