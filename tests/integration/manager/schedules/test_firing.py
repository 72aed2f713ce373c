"""Schedules run at each instant once, whoever fires them, and on one Redis as on a cluster."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from jobqueue import keys
from jobqueue.errors import UnexpectedContent
from jobqueue.lifecycle.control import delete
from jobqueue.lifecycle.finish import finish
from jobqueue.sharding.scripts import Script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.schedules.firing import AT_ONCE, ScheduleFiring
from manager.schedules.plan import plan
from manager.schedules.record import CatchUp, Pause
from manager.schedules.run_ids import run_id
from manager.schedules.runs import Attempt, fire
from manager.schedules.store import (
    delete_schedule,
    read_history,
    read_schedule,
    read_schedules,
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


@pytest.fixture(params=["plain", "cluster"])
async def shards(request: pytest.FixtureRequest) -> AsyncIterator[Shards]:
    """The queue on a standalone Redis, then on a cluster: each test runs twice."""
    url = request.getfixturevalue("redis_url") if request.param == "plain" else request.getfixturevalue("cluster").url
    connected = await Shards.connect(url)
    yield connected
    await connected.close()


@pytest.fixture
def manager(shards: Shards) -> ScheduleFiring:
    return ScheduleFiring(shards)


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


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("definition", "{}"),
        ("definition", b"\xff"),
        ("definition", a_schedule().to_json().replace('"queue":"default"', '"queue":null')),
        ("definition", a_schedule().to_json().replace('"labels":null', '"labels":"{"')),
        ("definition", a_schedule().to_json().replace('"labels":null', '"labels":"{\\"a\\":[]}"')),
        ("definition", a_schedule().to_json().replace('"unique_key":null', '"unique_key":"k"')),
        ("definition", a_schedule().to_json().replace('"due_at":null', '"due_at":"soon"')),
        ("next", "nan"),
        ("next", "soon"),
        ("last", "never"),
        ("runs", "many"),
        ("held", "x"),
        ("paused", "[]"),
        ("revision", b"\xff"),
    ],
)
async def test_what_something_else_has_written_keeps_no_other_schedule_from_running(
    shards: Shards, manager: ScheduleFiring, field: str, value: str | bytes
) -> None:
    for name in ("bad", "good"):
        shard = await create(shards, a_schedule(name))
    bad = shards.of("bad")
    await bad.execute(("HSET", keys.schedule(bad.prefix, "bad"), field, value))
    for shard in shards:
        await manager.fire_due(shard, now=NOW + MINUTE)
    assert await rows(shards.of("good"), "good") == [("fired", NOW + MINUTE)]
    assert [stored.name for shard in shards for stored in await read_schedules(shard)].count("bad") == 1


async def test_many_that_are_due_go_in_few_calls_and_each_succeeds_or_fails_on_its_own(
    shards: Shards, manager: ScheduleFiring
) -> None:
    names = [f"s{number}" for number in range(12)]
    for name in names:
        shard = await create(shards, a_schedule(name))
    spoiled = shards.of("s5")
    await spoiled.execute(("SET", keys.schedule(spoiled.prefix, "s5") + ":active", "no list"))
    for shard in shards:
        await shard.execute(("SCRIPT", "FLUSH"))
    for minute in (1, 2):
        for shard in shards:
            await manager.fire_due(shard, now=NOW + minute * MINUTE)
    instants = [("fired", NOW + MINUTE)]
    for name in names:
        found = await rows(shards.of(name), name)
        assert found[:1] == instants, name
        # The first run of each has not ended.
        assert len(found) == 2, name


class _RefusingShard(Shard):
    """A shard that refuses every call in which a schedule with this name comes.

    Attributes:
        calls: how often a script was called.
    """

    def __init__(self, shard: Shard, shards: Shards, refused: str) -> None:
        super().__init__(shard.index, shard.prefix, shards.topology)
        self.calls = 0
        self._refused = refused

    async def run(self, script: Script, *args: str | bytes | int | float, **options: Any) -> Any:
        """Run a script, or refuse it."""
        self.calls += 1
        if any(isinstance(each, str) and f'"{self._refused}"' in each for each in args):
            raise UnexpectedContent(f"script {script.name}")
        return await super().run(script, *args, **options)


async def test_schedules_that_are_due_together_share_a_call(shards: Shards, manager: ScheduleFiring) -> None:
    names = [f"s{number}" for number in range(AT_ONCE + 1)]
    shard = shards.of("s0")
    own = [name for name in names if shards.of(name) is shard]
    for name in own:
        await create(shards, a_schedule(name))
    counted = _RefusingShard(shard, shards, "nobody")
    await manager.fire_due(counted, now=NOW + MINUTE)
    assert counted.calls == -(-len(own) // AT_ONCE)
    assert len(await queued_ids(shard)) == len(own)


async def test_a_schedule_that_no_script_can_run_keeps_no_other_from_running(
    shards: Shards, manager: ScheduleFiring, caplog: pytest.LogCaptureFixture
) -> None:
    shard = shards.of("s0")
    names = [name for number in range(40) if shards.of(name := f"s{number}") is shard]
    for name in names:
        await create(shards, a_schedule(name, overlap="allow"))
    refusing = _RefusingShard(shard, shards, names[1])
    for minute in (1, 2):
        await manager.fire_due(refusing, now=NOW + minute * MINUTE)
    for name in names:
        fired = [] if name == names[1] else [("fired", NOW + minute * MINUTE) for minute in (1, 2)]
        assert await rows(shard, name) == fired
    assert caplog.text.count("event=schedule_unreadable") == 1


async def test_of_two_jobs_of_a_call_the_one_whose_id_is_taken_does_not_run(
    shards: Shards, manager: ScheduleFiring
) -> None:
    shard = shards.of("s0")
    names = [name for number in range(40) if shards.of(name := f"s{number}") is shard][:3]
    for place, name in enumerate(names):
        template = a_schedule().template._replace(labels=json.dumps({"place": str(place)}), retries=place)
        await create(shards, a_schedule(name, template=template))
    taken = run_id(names[1], NOW + MINUTE, len(shards))
    await enqueue_jobs(shard, taken, queue="theirs")
    await manager.fire_due(shard, now=NOW + MINUTE)
    assert [await rows(shard, name) for name in names] == [
        [("fired", NOW + MINUTE)],
        [("missed", NOW + MINUTE)],
        [("fired", NOW + MINUTE)],
    ]
    for place in (0, 2):
        fields = await job_fields(shard, run_id(names[place], NOW + MINUTE, len(shards)))
        assert (fields["wm_labels"], fields.get("retries_left")) == (f'{{"place": "{place}"}}', (None, "2")[place > 0])
    # The first one's run has not ended: its job is in the call, and is left out.
    await end_job(shard, run_id(names[2], NOW + MINUTE, len(shards)))
    await manager.fire_due(shard, now=NOW + 2 * MINUTE)
    assert [(await rows(shard, name))[-1] for name in names] == [
        ("skipped", NOW + 2 * MINUTE),
        ("fired", NOW + 2 * MINUTE),
        ("fired", NOW + 2 * MINUTE),
    ]
    second = [run_id(name, NOW + 2 * MINUTE, len(shards)) for name in names]
    assert [await job_status(shard, job_id) for job_id in second] == [None, "queued", "queued"]


async def test_histories_keep_a_bounded_number_of_runs(shards: Shards, manager: ScheduleFiring) -> None:
    shard = await create(shards, a_schedule(cron=None, every=1, overlap="allow", catch_up=CatchUp(3600, "all")))
    for second in range(100, 1301, 100):
        await manager.fire_due(shard, now=NOW + second)
    history, active, of_rq = await shard.execute(
        ("LLEN", keys.schedule_history(shard.prefix, "nightly")),
        ("LLEN", keys.schedule_active(shard.prefix, "nightly")),
        ("ZCARD", keys.rq_cron_history(shard.prefix, "nightly")),
    )
    assert (await progress_of(shard)).runs == 1300
    assert 100 <= history <= 150
    assert 100 <= active <= 150
    assert 1000 <= of_rq <= 1050
    assert len((await read_history(shard, "nightly"))[0]) == 100
    (left_seconds,) = await shard.execute(("TTL", keys.rq_cron_history(shard.prefix, "nightly")))
    assert left_seconds > 300 * 86400


async def test_keys_of_other_types_do_not_keep_a_schedule_from_running(shards: Shards, manager: ScheduleFiring) -> None:
    shard = await create(shards, a_schedule())
    for key in (keys.schedule_history, keys.schedule_active, keys.rq_cron_history):
        await shard.execute(("SET", key(shard.prefix, "nightly"), "no list"))
    await manager.fire_due(shard, now=NOW + MINUTE)
    assert await rows(shard) == [("fired", NOW + MINUTE)]
    await shard.execute(("DEL", keys.schedules(shard.prefix)), ("SET", keys.schedules(shard.prefix), "no set"))
    await manager.fire_due(shard, now=NOW + 2 * MINUTE)
    assert await read_schedules(shard) == []
