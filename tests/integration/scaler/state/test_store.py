"""What leaders hand on to each other: nothing of one that was succeeded, and never more than may be."""

import json

import pytest

from jobqueue.sharding.shards import Shard
from scaler.fleets.instances import Instance, Intent, Order
from scaler.state.leader_election import LEASE_SECONDS, Candidate
from scaler.state.store import KEPT_DECISIONS, Amendment, LeaseLost, Ledger
from tests.fake_clock import Clock


def _intent(token: str, count: int, epoch: int = 1) -> Intent:
    return Intent(token, 5.0, epoch, Order(count, "kind", {"InstanceType": "m7i.large"}))


async def test_what_is_written_is_read_again(shard: Shard, clock: Clock) -> None:
    candidate = Candidate(shard, "a:1")
    ledger = Ledger(shard, candidate)
    epoch = (await candidate.stand()).epoch
    instance = Instance("i-1", 3.0, "t-0", zone="b", market="spot", closing_at=4.0, reason="idle")
    assert await ledger.intend(epoch, [_intent("t-1", 2)], most=9)
    await ledger.amend(epoch, Amendment([instance], notes={"learned": {"x": 1}}))
    book = await ledger.read()
    assert (book.now, book.intents, book.instances) == (clock.now, [_intent("t-1", 2)], {"i-1": instance})
    assert await ledger.note("learned") == {"x": 1}
    await ledger.amend(epoch, Amendment(gone=["i-1"], settled=["t-1"]))
    book = await ledger.read()
    assert (book.intents, book.instances, await ledger.gone()) == ([], {}, {"i-1"})


async def test_living_and_intended_instances_count_against_the_limit_together(shard: Shard) -> None:
    candidate = Candidate(shard, "a:1")
    ledger = Ledger(shard, candidate)
    epoch = (await candidate.stand()).epoch
    await ledger.amend(epoch, Amendment([Instance("i-1", 1.0)]))
    assert await ledger.intend(epoch, [_intent("t-1", 2)], most=4)
    assert not await ledger.intend(epoch, [_intent("t-2", 1), _intent("t-3", 1)], most=4)
    assert await ledger.intend(epoch, [_intent("t-4", 1)], most=4)
    assert {intent.token for intent in (await ledger.read()).intents} == {"t-1", "t-4"}


async def test_what_a_deposed_leader_still_writes_is_void(shard: Shard, clock: Clock) -> None:
    first, second = Candidate(shard, "a:1", clock=clock), Candidate(shard, "b:2", clock=clock)
    old = await first.stand()
    assert first.is_sure
    clock.move(LEASE_SECONDS)
    assert not first.is_sure
    new = await second.stand()
    for epoch in (old.epoch, new.epoch):
        with pytest.raises(LeaseLost):
            await Ledger(shard, first).intend(epoch, [_intent("t-1", 1)], most=9)
        with pytest.raises(LeaseLost):
            await Ledger(shard, first).amend(epoch, Amendment([Instance("i-1", 1.0)], gone=["i-2"]))
    assert await Ledger(shard, second).intend(new.epoch, [_intent("t-2", 1)], most=9)
    book = await Ledger(shard, second).read()
    assert ([intent.token for intent in book.intents], book.instances) == (["t-2"], {})


async def test_the_latest_decisions_are_kept(shard: Shard) -> None:
    candidate = Candidate(shard, "a:1")
    ledger = Ledger(shard, candidate)
    epoch = (await candidate.stand()).epoch
    for number in range(KEPT_DECISIONS + 20):
        await ledger.amend(epoch, Amendment(decision={"n": number}))
    (decisions,) = await shard.execute(("LRANGE", f"{shard.prefix}:wm:scaler:decisions", 0, -1))
    assert [json.loads(each)["n"] for each in decisions] == list(range(KEPT_DECISIONS + 19, 19, -1))
