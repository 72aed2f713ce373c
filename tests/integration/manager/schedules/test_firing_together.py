"""Schedules that are due together share calls of a script, and each succeeds or fails on its own."""

import json
from typing import Any

import pytest

from jobqueue import keys
from jobqueue.errors import UnexpectedContent
from jobqueue.sharding.scripts import Script
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.schedules.firing import AT_ONCE, ScheduleFiring
from manager.schedules.record import CatchUp
from manager.schedules.run_ids import run_id
from manager.schedules.store import read_history, read_schedules
from tests.integration.jobqueue.queue_helpers import enqueue_jobs, job_fields, job_status, queued_ids
from tests.integration.manager.schedules.schedule_harness import NOW, a_schedule, create, end_job, progress_of, rows

MINUTE = 60.0


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
        ("definition", a_schedule().to_json().replace('"within_seconds":3600', f'"within_seconds":{10**400}')),
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
