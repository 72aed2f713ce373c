"""Operations change all jobs that match, once, whatever happens to managers meanwhile."""

from dataclasses import replace
from typing import Any

import pytest

from jobqueue.audit import read_audit
from jobqueue.errors import ShardUnavailable
from jobqueue.lifecycle.claim import claim
from jobqueue.model import Dependency, Status
from manager.operations.operation import JobFilter
from manager.operations.store import cancel_operation, claim_operation, create_operation, list_operations
from tests.integration.manager.operations.operation_harness import AUTHOR, LATER, Harness

MANY = [f"job-{number}" for number in range(450)]
"""Jobs of some steps."""


async def test_all_failed_jobs_of_a_queue_are_requeued_and_others_left_alone(harness: Harness) -> None:
    await harness.submit(*MANY)
    await harness.submit("other", queue="other")
    await harness.fail("default", "other")
    ended = await harness.run("requeue", queue="default", status=Status.FAILED)
    assert await harness.count(*MANY) == {"queued": len(MANY)}
    assert await harness.statuses("other") == ["failed"]
    progress = ended.progress
    assert (ended.status, progress.matched, progress.changed, progress.refused) == ("finished", 450, 450, 0)
    assert await harness.open_operations() == 0
    assert not await harness.manager().run_next()


async def test_queued_jobs_are_canceled_although_the_queue_moves_up(harness: Harness) -> None:
    await harness.submit(*MANY)
    await harness.submit("keep-1", "keep-2", function="sleep")
    ended = await harness.run("cancel", function="noop")
    assert await harness.count(*MANY) == {"canceled": len(MANY)}
    assert await harness.statuses("keep-1", "keep-2") == ["queued", "queued"]
    assert ended.progress.changed == len(MANY)


async def test_a_dry_run_counts_and_changes_nothing(harness: Harness) -> None:
    await harness.submit(*MANY)
    ended = await harness.run("delete", queue="default", dry_run=True)
    assert (ended.progress.matched, ended.progress.changed) == (len(MANY), 0)
    assert await harness.count(*MANY) == {"queued": len(MANY)}


async def test_jobs_are_found_in_every_status_that_an_action_applies_to(plain: Harness) -> None:
    await plain.submit("failed")
    await plain.fail()
    await plain.submit("started")
    await claim(plain.shard, "w", ["default"], 1, lease_seconds=60)
    await plain.submit("queued")
    await plain.submit("scheduled", due_at=LATER)
    # Their place in the registry is the same for all.
    children = [f"child-{number}" for number in range(25)]
    await plain.submit(*children, depends_on=(Dependency("queued"),))
    assert (await plain.run("cancel", queue="default")).progress.changed == 28
    states = ["failed", "started", "canceled", "canceled"]
    assert await plain.statuses("failed", "started", "queued", "scheduled") == states
    assert await plain.count(*children) == {"canceled": 25}
    assert (await plain.run("delete", queue="default")).progress.changed == 28
    assert await plain.statuses("failed", "started", "queued", "scheduled") == [None, "started", None, None]


@pytest.mark.parametrize("label", ["order:42", "order:43"])
async def test_jobs_are_found_by_label_and_reason(plain: Harness, label: str) -> None:
    for number in (42, 43):
        await plain.submit(f"a-{number}", f"b-{number}", labels=f'{{"order":"{number}"}}')
    await plain.fail()
    assert (await plain.run("requeue", label=label, reason="timeout")).progress.matched == 0
    await plain.shard.execute(("DEL", "rq:wm:operation:requeue-1"))
    ended = await plain.run("requeue", label=label, reason="exception")
    assert (ended.progress.matched, ended.progress.changed) == (2, 2)
    number = label[-2:]
    assert await plain.statuses(f"a-{number}", f"b-{number}") == ["queued", "queued"]
    assert (await plain.count("a-42", "b-42", "a-43", "b-43"))["failed"] == 2


async def test_what_is_submitted_or_fails_later_is_left_alone(plain: Harness) -> None:
    await plain.submit("before")
    await plain.start("cancel", queue="default")
    await plain.submit("after")
    await plain.manager().run_next()
    assert await plain.statuses("before", "after") == ["canceled", "queued"]


async def test_another_manager_goes_on_where_one_has_died(plain: Harness) -> None:
    await plain.submit(*MANY)
    await plain.fail()
    operation = await plain.start("requeue", status=Status.FAILED, queue="default")
    await plain.manager().run_next(max_steps=1)  # Then it is gone.
    assert await plain.count(*MANY) == {"queued": 200, "failed": 250}
    assert not await plain.manager().run_next(), "its lease goes on"
    assert await plain.manager().run_next(now=LATER)
    assert await plain.count(*MANY) == {"queued": 450}
    ended = await plain.read(operation.id)
    assert (ended.status, ended.progress.changed) == ("finished", 450)


async def test_a_manager_that_was_slow_saves_nothing_once_another_has_the_operation(
    plain: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plain.submit(*MANY)
    await plain.fail()
    operation = await plain.start("requeue", status=Status.FAILED, queue="default")
    slow = plain.manager()
    step = slow._step

    async def interrupted(given: Any) -> Any:
        progress = await step(given)
        assert await plain.manager().run_next(now=LATER)
        return progress

    monkeypatch.setattr(slow, "_step", interrupted)
    assert await slow.run_next()
    ended = await plain.read(operation.id)
    # What the first one had changed and not saved is not counted.
    assert (ended.status, ended.progress.changed) == ("finished", 250)
    assert await plain.count(*MANY) == {"queued": 450}


async def test_a_canceled_operation_ends_after_its_step(plain: Harness) -> None:
    await plain.submit(*MANY)
    await plain.fail()
    operation = await plain.start("requeue", status=Status.FAILED, queue="default")
    await plain.manager().run_next(max_steps=1)
    assert await cancel_operation(plain.shard, operation.id, AUTHOR) == "canceling"
    assert (await plain.read(operation.id)).status == "canceling"
    assert await plain.manager().run_next(now=LATER)
    ended = await plain.read(operation.id)
    assert (ended.status, ended.progress.changed, ended.ended_at is not None) == ("canceled", 200, True)
    assert await cancel_operation(plain.shard, operation.id, AUTHOR) == "ended"
    assert await cancel_operation(plain.shard, "unknown", AUTHOR) == "missing"
    assert await plain.count(*MANY) == {"queued": 200, "failed": 250}
    noted = [(entry.action, entry.target) for entry in await read_audit(plain.shard, 10)]
    assert noted == [("operation_canceled", operation.id), ("operation_started", operation.id)]


async def test_a_shard_that_does_not_answer_is_waited_for(plain: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    await plain.submit("a")
    await plain.fail()
    operation = await plain.start("requeue", queue="default")
    manager = plain.manager()

    async def unavailable(_: Any) -> Any:
        raise ShardUnavailable("shard rq does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(manager, "_step", unavailable)
        assert not await manager.run_next()
    assert (await plain.read(operation.id)).progress.note == "shard rq does not answer"
    assert not await manager.run_next(), "it is left alone for some seconds"
    assert await manager.run_next(now=LATER)
    ended = await plain.read(operation.id)
    assert (ended.status, ended.progress.note, ended.progress.changed) == ("finished", "", 1)


async def test_an_operation_of_a_key_that_is_bound_to_queues_changes_its_jobs_alone(plain: Harness) -> None:
    await plain.submit("a", queue="mine-1")
    await plain.submit("b", queue="other")
    labels = '{"order":"42"}'
    await plain.submit("c", queue="mine-2", labels=labels)
    await plain.submit("d", queue="other", labels=labels)
    assert (await plain.run("cancel", function="noop", queues=["mine-*"])).progress.matched == 2
    deleted = (await plain.run("delete", label="order:42", queues=["mine-*"])).progress
    assert (deleted.searched, deleted.matched) == (1, 1), "how many jobs others have is not told"
    assert await plain.statuses("a", "b", "c", "d") == ["canceled", "queued", None, "queued"]


async def test_an_id_starts_one_operation_and_too_many_are_refused(
    plain: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = await plain.start("cancel", queue="q")
    assert await create_operation(plain.shard, operation, AUTHOR) == "repeated"
    bound = replace(operation, queues=("mine-*",))
    assert await create_operation(plain.shard, bound, AUTHOR) == "conflict", "it does less than was asked for"
    other = replace(operation, filter=JobFilter(queue="other"))
    assert await create_operation(plain.shard, other, AUTHOR) == "conflict"
    monkeypatch.setattr("manager.operations.store.MAX_OPEN", 1)
    assert [each.id for each in await list_operations(plain.shard, 5)] == ["cancel-1"]
    assert await create_operation(plain.shard, replace(operation, id="another"), AUTHOR) == "full"


async def test_garbage_in_place_of_an_operation_stops_no_other(plain: Harness) -> None:
    prefix = plain.shard.prefix
    await plain.shard.execute(
        ("ZADD", f"{prefix}:wm:operations:open", 1, "gone", 2, "text"),
        ("ZADD", f"{prefix}:wm:operations", 1, "gone", 2, "text", 3, "odd"),
        ("SET", f"{prefix}:wm:operation:text", "garbage"),
        ("HSET", f"{prefix}:wm:operation:odd", "request", "[]", "status", "queued"),
    )
    await plain.submit("a")
    operation = await plain.start("cancel", queue="default")
    await plain.shard.execute(("ZADD", f"{prefix}:wm:operations:open", 3, "odd"))
    for _ in range(2):
        assert await plain.manager().run_next()
    assert (await plain.read(operation.id)).progress.changed == 1
    assert [each.id for each in await list_operations(plain.shard, 5)] == ["cancel-1"]
    assert await claim_operation(plain.shard, "token", now=LATER) is None
