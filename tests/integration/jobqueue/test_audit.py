"""The audit stream: an entry with each change and none without, bounded in number and age, always readable."""

import asyncio
from typing import Any

from jobqueue import keys
from jobqueue.audit import KEPT_SECONDS, MAX_ENTRIES, Author, read_audit, read_audit_page, trim_audit
from jobqueue.maintenance.periodic import Maintenance
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from jobqueue.workers.queue_service import pause_queue, resume_queue
from scaler.state.operator_overrides import set_limits, set_paused
from scaler.state.store import read_state
from tests.waiting import until_async

AUTHOR = Author("env-1", "192.0.2.1", "abc")
NOW = 1_900_000_000.0


async def noted(shard: Shard) -> list[tuple[str, str, Any, Any]]:
    entries = await read_audit(shard, 100)
    assert {entry.author for entry in entries} <= {AUTHOR}
    return [(entry.action, entry.target, entry.before, entry.after) for entry in reversed(entries)]


async def test_a_pause_is_noted_once(shard: Shard) -> None:
    for _ in range(2):
        await pause_queue(shard, "reports", AUTHOR)
    for _ in range(2):
        await resume_queue(shard, "reports", AUTHOR)
    await pause_queue(shard, "others")
    assert await noted(shard) == [
        ("queue_paused", "reports", {"paused": False}, {"paused": True}),
        ("queue_resumed", "reports", {"paused": True}, {"paused": False}),
    ]


async def test_overrides_of_the_scaler_are_noted_with_what_was_before(shard: Shard) -> None:
    await set_limits(shard, {"max_workers": 3, "budget_per_hour": 2.5}, AUTHOR)
    await set_limits(shard, {"max_workers": 3}, AUTHOR)
    await shard.execute(("HSET", keys.scaler(shard.prefix, "orders"), "max_workers", "nan"))
    await set_limits(shard, {"max_workers": 4}, AUTHOR)
    await set_limits(shard, {"max_workers": None, "budget_per_hour": None}, AUTHOR)
    await set_paused(shard, AUTHOR, paused=True)
    assert (await read_state(shard)).overrides.paused
    await set_paused(shard, AUTHOR, paused=False)
    await set_paused(shard, AUTHOR, paused=False)
    assert await noted(shard) == [
        (
            "scaler_limited",
            "",
            {"max_workers": None, "budget_per_hour": None},
            {"max_workers": 3, "budget_per_hour": 2.5},
        ),
        ("scaler_limited", "", {"max_workers": None}, {"max_workers": 4}),
        (
            "scaler_limited",
            "",
            {"max_workers": 4, "budget_per_hour": 2.5},
            {"max_workers": None, "budget_per_hour": None},
        ),
        ("scaler_paused", "", {"paused": False}, {"paused": True}),
        ("scaler_resumed", "", {"paused": True}, {"paused": False}),
    ]


async def test_the_stream_is_read_page_by_page(shard: Shard) -> None:
    for number in range(5):
        await pause_queue(shard, str(number), AUTHOR)
    targets, before = [], None
    while page := await read_audit(shard, 2, before):
        targets += [entry.target for entry in page]
        milliseconds, sequence = page[-1].id.split("-")
        before = (int(milliseconds), int(sequence))
    assert targets == ["4", "3", "2", "1", "0"]
    assert await read_audit(shard, 2, (0, 0)) == []


async def test_the_streams_of_all_shards_are_read_page_by_page_as_one(any_shards: Shards) -> None:
    for shard in any_shards:
        # Each shard has an entry of the same time as the others', and one of its own time.
        own = f"{10 + shard.index}-0"
        commands = (
            ("XADD", keys.audit(shard.prefix), each, "target", f"{shard.index} {each}") for each in ("5-0", own)
        )
        await shard.execute(*commands)
    read: list[str] = []
    before, has_more = None, True
    while has_more:
        page, has_more = await read_audit_page(any_shards, 2, before)
        read += [entry.target for entry in page]
        milliseconds, sequence = page[-1].id.split("-")
        before = (int(milliseconds), int(sequence))
    count = len(any_shards)
    assert read[:count] == [f"{index} {10 + index}-0" for index in reversed(range(count))]
    assert sorted(read[count:]) == [f"{index} 5-0" for index in range(count)]


async def test_the_stream_is_bounded_in_number_and_age(shard: Shard) -> None:
    key = keys.audit(shard.prefix)
    days = [NOW - KEPT_SECONDS - 1, NOW - KEPT_SECONDS + 1, NOW - 1]
    await shard.execute(*(("XADD", key, f"{round(at * 1000)}-0", "target", "x") for at in days))
    assert await trim_audit(shard, now=NOW) == 1
    assert [entry.at for entry in await read_audit(shard, 10)] == [days[2], days[1]]
    assert await trim_audit(shard, now=NOW) == 0
    await shard.execute(*(("XADD", key, "*", "target", "x") for _ in range(MAX_ENTRIES)))
    await pause_queue(shard, "last", AUTHOR)
    entries = await read_audit(shard, MAX_ENTRIES + 1)
    assert (len(entries), entries[0].target) == (MAX_ENTRIES, "last")


async def test_managers_delete_what_is_too_old(any_shards: Shards) -> None:
    for shard in any_shards:
        await shard.execute(("XADD", keys.audit(shard.prefix), "1-0", "target", "x"))

    async def is_gone() -> bool:
        return not any([await read_audit(shard, 1) for shard in any_shards])

    maintenance = asyncio.create_task(Maintenance(any_shards).run())
    try:
        await until_async(is_gone)
    finally:
        maintenance.cancel()
        await asyncio.gather(maintenance, return_exceptions=True)


async def test_what_something_else_has_written_hides_nothing(shard: Shard) -> None:
    key = keys.audit(shard.prefix)
    await shard.execute(
        ("XADD", key, "1-1", "author", "{", "before", "[1]", "target", b"\xff"),
        ("XADD", key, "1-2", "other", "x"),
    )
    await pause_queue(shard, "a", AUTHOR)
    entries = await read_audit(shard, 10)
    assert [(entry.target, entry.author.actor, entry.before) for entry in entries] == [
        ("a", "env-1", {"paused": False}),
        ("", "", None),
        ("\ufffd", "", None),
    ]
    await shard.execute(("DEL", key), ("SET", key, "no stream"))
    assert await read_audit(shard, 10) == []
    assert await trim_audit(shard) == 0
    await resume_queue(shard, "a", AUTHOR)
    assert [entry.action for entry in await read_audit(shard, 10)] == ["queue_resumed"]
