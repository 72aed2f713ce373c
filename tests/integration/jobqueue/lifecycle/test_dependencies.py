"""Dependencies, on one shard and across shards: when a job runs that waits for others, and when it is canceled."""

from collections.abc import Sequence

import pytest

from jobqueue import keys
from jobqueue.inspection.job_states import read_statuses
from jobqueue.lifecycle.control import cancel, delete, requeue
from jobqueue.lifecycle.dependencies import register, settle
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import Outcome, finish
from jobqueue.maintenance.deferred_jobs import register_overdue
from jobqueue.maintenance.periodic import Maintenance
from jobqueue.model import ENDED, FAILURE_TTL_SECONDS, FINISHED, Dependency
from jobqueue.sharding.scripts import Script, script
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    failed_outcome,
    job_fields,
    new_job,
    queued_ids,
    sorted_set,
    stopped_outcome,
    success_outcome,
)

ENDS = {"finished": success_outcome, "failed": failed_outcome, "stopped": stopped_outcome}


async def submit(shards: Shards, job_id: str, *parents: str, awaited: str = FINISHED, queue: str = "default") -> str:
    """Submit a job that waits for `parents`; return its status."""
    depends_on = tuple(Dependency(parent, awaited) for parent in parents) if parents else None
    shard = shards.of(job_id)
    await enqueue(shard, [new_job(job_id, depends_on=depends_on, queue=queue)])
    return (await register(shards, shard, [job_id]))[0] if parents else "queued"


async def end(shards: Shards, job_id: str, status: str = "finished") -> None:
    """Run a job that is next in line, to that end; its children are told."""
    shard = shards.of(job_id)
    (job,) = await claim_jobs(shard)
    assert job.id == job_id
    outcome: Outcome = ENDS[status](job)
    if status == "stopped":
        await cancel(shard, [job_id])
    await finish(shard, "w1", [outcome])
    await settle(shard, shards)


async def status_of(shards: Shards, job_id: str) -> str | None:
    (status,) = await read_statuses(shards.of(job_id), [job_id])
    return status


async def statuses(shards: Shards, job_ids: Sequence[str]) -> list[str | None]:
    return [await status_of(shards, job_id) for job_id in job_ids]


def two_ids(shards: Shards) -> tuple[str, str]:
    """Return ids of a parent and a child, which lie on two shards if there are several."""
    return shards.new_id(shards.all[0]), shards.new_id(shards.all[-1])


async def test_a_child_is_queued_when_its_last_parent_has_finished(any_shards: Shards) -> None:
    (first, child), (second, _) = two_ids(any_shards), two_ids(any_shards)
    await submit(any_shards, first)
    await submit(any_shards, second)
    assert await submit(any_shards, child, first, second) == "deferred"
    await end(any_shards, first)
    assert await status_of(any_shards, child) == "deferred"
    await end(any_shards, second)
    assert await status_of(any_shards, child) == "queued"
    assert child in await queued_ids(any_shards.of(child))


async def test_children_stand_in_the_order_of_their_arrival_also_within_a_millisecond(shards: Shards) -> None:
    shard = shards.all[0]
    for place, child in enumerate(("z", "a", "m")):
        await enqueue(shard, [new_job(child, depends_on=(Dependency("p"),))], now=NOW + 0.0001 * place)
    assert list(await sorted_set(shard, "deferred:default")) == ["z", "a", "m"]


async def test_a_child_of_parents_that_have_finished_is_queued_at_once(any_shards: Shards) -> None:
    parent, child = two_ids(any_shards)
    await submit(any_shards, parent)
    await end(any_shards, parent)
    assert await submit(any_shards, child, parent) == "queued"


@pytest.mark.parametrize("status", ["failed", "stopped"])
async def test_a_child_of_a_parent_that_failed_is_canceled_with_all_that_wait_for_it(
    any_shards: Shards, status: str
) -> None:
    (parent, child), (_, grandchild) = two_ids(any_shards), two_ids(any_shards)
    await submit(any_shards, parent)
    await submit(any_shards, child, parent)
    await submit(any_shards, grandchild, child)
    await end(any_shards, parent, status)
    await settle(any_shards.of(child), any_shards)
    assert await statuses(any_shards, [child, grandchild]) == ["canceled", "canceled"]
    fields = await job_fields(any_shards.of(child), child)
    assert (fields["wm_reason"], fields["wm_failed_parent"]) == ("dependency_failed", parent)
    assert fields["wm_note"] == f"it waited for job {parent} to finish, which is {status}"


@pytest.mark.parametrize("status", ["failed", "stopped", "finished"])
async def test_a_child_that_awaits_any_end_runs_after_it(any_shards: Shards, status: str) -> None:
    parent, child = two_ids(any_shards)
    await submit(any_shards, parent)
    await submit(any_shards, child, parent, awaited=ENDED)
    await end(any_shards, parent, status)
    assert await status_of(any_shards, child) == "queued"


async def test_a_parent_that_is_canceled_or_deleted_takes_its_children_with_it(any_shards: Shards) -> None:
    (canceled, child), (deleted, other) = two_ids(any_shards), two_ids(any_shards)
    for parent, of_it in ((canceled, child), (deleted, other)):
        await submit(any_shards, parent)
        await submit(any_shards, of_it, parent)
    await cancel(any_shards.of(canceled), [canceled])
    await delete(any_shards.of(deleted), [deleted])
    await settle(any_shards.of(canceled), any_shards)
    assert await statuses(any_shards, [child, other]) == ["canceled", "canceled"]
    fields = await job_fields(any_shards.of(other), other)
    assert fields["wm_note"] == f"it waited for job {deleted}, which does not exist any more"


async def test_a_parent_whose_record_cannot_be_read_takes_its_children_with_it(any_shards: Shards) -> None:
    parent, child = two_ids(any_shards)
    await submit(any_shards, parent)
    await submit(any_shards, child, parent)
    shard = any_shards.of(parent)
    await shard.execute(("HDEL", keys.job(shard.prefix, parent), "data"))
    assert await claim_jobs(shard) == []
    await settle(shard, any_shards)
    assert await statuses(any_shards, [parent, child]) == ["failed", "canceled"]


async def test_no_job_of_a_workflow_runs_before_all_of_it_is_written(any_shards: Shards) -> None:
    outside, inside = two_ids(any_shards)
    shard = any_shards.of(inside)
    await submit(any_shards, outside)
    await shard.execute(("HSET", keys.workflow(shard.prefix, "w"), "state", "writing"))
    await enqueue(shard, [new_job(inside, depends_on=(Dependency(outside),), workflow_id="w")])
    assert await register(any_shards, shard, [inside]) == ["deferred"]
    await end(any_shards, outside)
    assert await register(any_shards, shard, [inside]) == ["deferred"]
    await shard.execute(("HSET", keys.workflow(shard.prefix, "w"), "state", "open"))
    assert await register(any_shards, shard, [inside]) == ["queued"]


async def test_nothing_is_kept_of_a_canceled_child_for_ever(any_shards: Shards) -> None:
    parent, child = two_ids(any_shards)
    await submit(any_shards, parent)
    await submit(any_shards, child, parent)
    shard = any_shards.of(child)
    await cancel(shard, [child])
    (ttl,) = await shard.execute(("TTL", keys.open_parents(shard.prefix, child)))
    assert 0 < ttl <= FAILURE_TTL_SECONDS


async def test_a_requeued_parent_brings_back_what_its_failure_canceled(any_shards: Shards) -> None:
    (parent, child), (_, grandchild) = two_ids(any_shards), two_ids(any_shards)
    await submit(any_shards, parent)
    await submit(any_shards, child, parent)
    await submit(any_shards, grandchild, child)
    await end(any_shards, parent, "failed")
    await settle(any_shards.of(child), any_shards)
    assert await requeue(any_shards.of(child), [child]) == ["dependency_failed"]
    assert await requeue(any_shards.of(parent), [parent]) == ["queued"]
    await quiesce(any_shards)
    assert await statuses(any_shards, [child, grandchild]) == ["deferred", "deferred"]
    assert "wm_note" not in await job_fields(any_shards.of(child), child)
    await end(any_shards, parent)
    await quiesce(any_shards)
    await end(any_shards, child)
    assert await statuses(any_shards, [child, grandchild]) == ["finished", "queued"]


async def test_a_parent_that_was_requeued_and_has_finished_before_anyone_was_told(any_shards: Shards) -> None:
    parent, child = two_ids(any_shards)
    await submit(any_shards, parent)
    await submit(any_shards, child, parent)
    await end(any_shards, parent, "failed")
    await requeue(any_shards.of(parent), [parent])
    await end(any_shards, parent)
    await quiesce(any_shards)
    assert await status_of(any_shards, child) == "queued"


async def test_a_canceled_child_waits_again_when_it_is_requeued(any_shards: Shards) -> None:
    parent, child = two_ids(any_shards)
    await submit(any_shards, parent)
    await submit(any_shards, child, parent)
    await cancel(any_shards.of(child), [child])
    await end(any_shards, parent, "failed")
    assert await status_of(any_shards, child) == "canceled"
    assert await requeue(any_shards.of(child), [child]) == ["deferred"]
    await quiesce(any_shards)
    assert (await job_fields(any_shards.of(child), child))["wm_reason"] == "dependency_failed"


async def test_a_child_whose_manager_died_before_it_told_the_parents(any_shards: Shards) -> None:
    parent, child = two_ids(any_shards)
    await submit(any_shards, parent)
    await enqueue(any_shards.of(child), [new_job(child, depends_on=(Dependency(parent),))])
    await end(any_shards, parent)
    assert await status_of(any_shards, child) == "deferred"
    shard = any_shards.of(child)
    await shard.execute(("ZADD", keys.registering(shard.prefix), "XX", 1, child))
    assert await register_overdue(any_shards, shard) == 1
    assert await status_of(any_shards, child) == "queued"


async def test_a_parent_that_ended_without_a_word_is_noticed(any_shards: Shards) -> None:
    """A plain RQ worker has run it, or its record has expired."""
    (finished, child), (expired, other) = two_ids(any_shards), two_ids(any_shards)
    for parent, of_it in ((finished, child), (expired, other)):
        await submit(any_shards, parent)
        await submit(any_shards, of_it, parent)
    shard = any_shards.of(finished)
    await shard.execute(("HSET", keys.job(shard.prefix, finished), "status", "finished"))
    await shard.execute(("DEL", keys.job(shard.prefix, expired)))
    await Maintenance(any_shards)._recheck_deferred(any_shards.of(child))
    assert await statuses(any_shards, [child, other]) == ["queued", "canceled"]


async def test_a_worker_releases_children_of_its_own_shard_and_leaves_others_to_managers(any_shards: Shards) -> None:
    parent, child = two_ids(any_shards)
    near = any_shards.new_id(any_shards.of(parent))
    await submit(any_shards, parent)
    await submit(any_shards, child, parent)
    await submit(any_shards, near, parent)
    (job,) = await claim_jobs(any_shards.of(parent))
    report = await finish(any_shards.of(parent), "w1", [success_outcome(job)])
    if any_shards.of(child) is any_shards.of(parent):
        assert report.awaited == (), "all are told by the call that records the end"
    else:
        assert report.awaited == (parent,)
        await settle(any_shards.of(parent))
        assert await status_of(any_shards, child) == "deferred"
    assert await status_of(any_shards, near) == "queued"
    await settle(any_shards.of(parent), any_shards)
    assert await status_of(any_shards, child) == "queued"
    assert await settle(any_shards.of(parent), any_shards) == 0


async def test_children_are_queued_by_the_call_that_records_the_end_of_their_parents(shards: Shards) -> None:
    shard = shards.all[0]
    parents = [shards.new_id(shard) for _ in range(30)]
    child, early, first = (shards.new_id(shard) for _ in range(3))
    for parent in parents:
        await submit(shards, parent)
    await submit(shards, child, *parents)
    await submit(shards, first, parents[0], queue="lifo")
    await enqueue(shard, [new_job(early, depends_on=(Dependency(parents[0]),))])
    await shard.run(script("register_children"), parents[0], early, shard.prefix)
    report = await finish(shard, "w1", [success_outcome(job) for job in await claim_jobs(shard, 30)])
    assert report.awaited == ()
    assert await statuses(shards, [child, first]) == ["queued", "queued"]
    assert await queued_ids(shard) == [child]
    assert await settle(shard) == 0
    assert await status_of(shards, early) == "deferred", "its registration goes on"
    assert await register(shards, shard, [early]) == ["queued"]


@pytest.mark.parametrize(("count", "width"), [(1, 21), (30, 20)])
async def test_many_children_are_left_to_further_calls(shards: Shards, count: int, width: int) -> None:
    shard = shards.all[0]
    parents = [shards.new_id(shard) for _ in range(count)]
    await enqueue(shard, [new_job(parent) for parent in parents])
    children = [[shards.new_id(shard) for _ in range(width)] for _ in parents]
    for parent, of_it in zip(parents, children, strict=True):
        await enqueue(shard, [new_job(child, depends_on=(Dependency(parent),)) for child in of_it])
        await register(shards, shard, of_it)
    report = await finish(shard, "w1", [success_outcome(job) for job in await claim_jobs(shard, count)])
    assert set(report.awaited) == set(parents[500 // width if width <= 20 else 0 :])
    await settle(shard)
    assert set(await queued_ids(shard)) == {child for of_it in children for child in of_it}


async def test_children_are_told_in_further_calls_if_a_record_cannot_be_read(shards: Shards) -> None:
    shard = shards.all[0]
    parent, child = shards.new_id(shard), shards.new_id(shard)
    await submit(shards, parent)
    await submit(shards, child, parent)
    (job,) = await claim_jobs(shard)
    await shard.execute(("DEL", keys.registry(shard.prefix, "deferred", "default")))
    await shard.execute(("DEL", keys.children(shard.prefix, parent)))
    await shard.execute(("SET", keys.children(shard.prefix, parent), "x"))
    report = await finish(shard, "w1", [success_outcome(job)])
    assert (report.lost, report.awaited) == ((), (parent,))


async def test_ten_thousand_children_of_one_parent(any_shards: Shards) -> None:
    parent, _ = two_ids(any_shards)
    await submit(any_shards, parent)
    children = [any_shards.new_id(any_shards.all[number % len(any_shards)]) for number in range(10_000)]
    for shard in any_shards:
        own = [child for child in children if any_shards.of(child) is shard]
        await enqueue(shard, [new_job(child, queue="many", depends_on=(Dependency(parent),)) for child in own])
        await register(any_shards, shard, own)
    await end(any_shards, parent)
    queued = [child for shard in any_shards for child in await queued_ids(shard, "many")]
    assert sorted(queued) == sorted(children)


async def test_a_chain_of_a_thousand_is_canceled_at_once(any_shards: Shards) -> None:
    chain = [any_shards.new_id(any_shards.all[0]) for _ in range(1000)]
    await submit(any_shards, chain[0])
    shard = any_shards.all[0]
    await enqueue(
        shard, [new_job(each, depends_on=(Dependency(chain[place]),)) for place, each in enumerate(chain[1:])]
    )
    await register(any_shards, shard, chain[1:])
    await end(any_shards, chain[0], "failed")
    assert await statuses(any_shards, chain[1:]) == ["canceled"] * 999


async def quiesce(shards: Shards) -> None:
    """Do what maintenance does, until there is nothing left to do."""
    busy = True
    while busy:
        busy = False
        for shard in shards:
            busy = await settle(shard, shards) > 0 or busy
            (waiting,) = await shard.execute(("ZRANGE", keys.registering(shard.prefix), 0, -1))
            if waiting:
                await register(shards, shard, [job_id.decode() for job_id in waiting])
                busy = True


async def test_a_traced_child_knows_which_runs_it_follows_from(any_shards: Shards) -> None:
    shard = any_shards.all[0]
    early, late, untraced, child, other = (any_shards.new_id(shard) for _ in range(5))
    await enqueue(shard, [new_job(early, trace="00-early"), new_job(late, trace="00-late state"), new_job(untraced)])
    runs = {job.id: job for job in await claim_jobs(shard, 3)}
    await finish(shard, "w1", [success_outcome(runs[early]), success_outcome(runs[untraced])])
    depends_on = tuple(map(Dependency, (early, late, untraced)))
    children = [new_job(child, depends_on=depends_on, trace="00-child"), new_job(other, depends_on=depends_on)]
    await enqueue(shard, children)
    await register(any_shards, shard, [child, other])
    await finish(shard, "w1", [success_outcome(runs[late])])
    await settle(shard, any_shards)
    claimed = {job.id: job.trace.decode() for job in await claim_jobs(shard, 2, traces=True)}
    token = runs[early].token
    assert claimed[child] == f"00-child\n{early} {token} 00-early\n{late} {token} 00-late state"
    assert claimed[other] == ""


async def test_children_run_although_telling_them_fails_halfway(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = shards.all[0]
    parent, child, other = (shards.new_id(shard) for _ in range(3))
    await submit(shards, parent)
    await submit(shards, child, parent)
    await submit(shards, other, parent, queue="lifo")
    (job,) = await claim_jobs(shard)
    broken = script("finish").text.replace("push(queue, ids, false)", "error('it fails')")
    monkeypatch.setattr("jobqueue.lifecycle.finish.script", lambda name: Script(name, broken))
    report = await finish(shard, "w1", [success_outcome(job)])
    assert (report.lost, report.awaited) == ((), (parent,))
    await settle(shard, shards)
    await shard.execute(*(("ZADD", keys.registering(shard.prefix), "XX", 1, each) for each in (child, other)))
    await register_overdue(shards, shard)
    assert await statuses(shards, [child, other]) == ["queued", "queued"]
    assert (await queued_ids(shard), await queued_ids(shard, "lifo")) == ([child], [other])
