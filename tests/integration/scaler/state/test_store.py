"""What leaders hand on to each other: nothing of one that was succeeded, and never more than may be."""

import json

import pytest

from jobqueue.sharding.shard import Shard
from scaler.fleets.instances import Instance, Intent, LaunchRequest
from scaler.state.leader_election import LEADER_LEASE_SECONDS, LeaderElector
from scaler.state.store import KEPT_DECISIONS, LeaseLost, ScalerStore, StateUpdate
from tests.fake_clock import FakeClock


def _intent(token: str, count: int, epoch: int = 1) -> Intent:
    return Intent(token, 5.0, epoch, LaunchRequest(count, "kind", {"InstanceType": "m7i.large"}))


async def test_what_is_written_is_read_again(shard: Shard, clock: FakeClock) -> None:
    candidate = LeaderElector(shard, "a:1")
    ledger = ScalerStore(shard, candidate)
    epoch = (await candidate.acquire()).epoch
    instance = Instance("i-1", 3.0, "t-0", zone="b", market="spot", terminating_at=4.0, reason="idle")
    assert await ledger.record_intents(epoch, [_intent("t-1", 2)], max_instances=9)
    await ledger.save(epoch, StateUpdate([instance], documents={"learned": {"x": 1}}))
    book = await ledger.read()
    assert (book.now, book.intents, book.instances) == (clock.now, [_intent("t-1", 2)], {"i-1": instance})
    assert await ledger.read_document("learned") == {"x": 1}
    await ledger.save(epoch, StateUpdate(terminated=["i-1"], completed_intents=["t-1"]))
    book = await ledger.read()
    assert (book.intents, book.instances, await ledger.recently_terminated()) == ([], {}, {"i-1"})


async def test_living_and_intended_instances_count_against_the_limit_together(shard: Shard) -> None:
    candidate = LeaderElector(shard, "a:1")
    ledger = ScalerStore(shard, candidate)
    epoch = (await candidate.acquire()).epoch
    await ledger.save(epoch, StateUpdate([Instance("i-1", 1.0)]))
    assert await ledger.record_intents(epoch, [_intent("t-1", 2)], max_instances=4)
    assert not await ledger.record_intents(epoch, [_intent("t-2", 1), _intent("t-3", 1)], max_instances=4)
    assert await ledger.record_intents(epoch, [_intent("t-4", 1)], max_instances=4)
    assert {intent.token for intent in (await ledger.read()).intents} == {"t-1", "t-4"}


async def test_what_a_deposed_leader_still_writes_is_void(shard: Shard, clock: FakeClock) -> None:
    first, second = LeaderElector(shard, "a:1", clock=clock), LeaderElector(shard, "b:2", clock=clock)
    old = await first.acquire()
    assert first.holds_lease
    clock.advance(LEADER_LEASE_SECONDS)
    assert not first.holds_lease
    new = await second.acquire()
    for epoch in (old.epoch, new.epoch):
        with pytest.raises(LeaseLost):
            await ScalerStore(shard, first).record_intents(epoch, [_intent("t-1", 1)], max_instances=9)
        with pytest.raises(LeaseLost):
            await ScalerStore(shard, first).save(epoch, StateUpdate([Instance("i-1", 1.0)], terminated=["i-2"]))
    assert await ScalerStore(shard, second).record_intents(new.epoch, [_intent("t-2", 1)], max_instances=9)
    book = await ScalerStore(shard, second).read()
    assert ([intent.token for intent in book.intents], book.instances) == (["t-2"], {})


async def test_the_latest_decisions_are_kept(shard: Shard) -> None:
    candidate = LeaderElector(shard, "a:1")
    ledger = ScalerStore(shard, candidate)
    epoch = (await candidate.acquire()).epoch
    for number in range(KEPT_DECISIONS + 20):
        await ledger.save(epoch, StateUpdate(decision={"n": number}))
    (decisions,) = await shard.execute(("LRANGE", f"{shard.prefix}:wm:scaler:decisions", 0, -1))
    assert [json.loads(each)["n"] for each in decisions] == list(range(KEPT_DECISIONS + 19, 19, -1))
