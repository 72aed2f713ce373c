"""The stored state: read after write, fenced writes, and the limit on instances."""

import json

import pytest

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from scaler.fleets.instances import Instance, Intent, LaunchRequest
from scaler.state.leader_election import LEADER_LEASE_SECONDS, LeaderElector
from scaler.state.store import KEPT_DECISIONS, LeadershipLost, ScalerStore, StateUpdate
from tests.fake_clock import FakeClock


def _intent(token: str, count: int, epoch: int = 1) -> Intent:
    request = LaunchRequest(count, pool="pool", arguments={"InstanceType": "m7i.large"})
    return Intent(token, recorded_at=5.0, epoch=epoch, request=request)


async def test_saved_state_is_read_again(shard: Shard, clock: FakeClock) -> None:
    elector = LeaderElector(shard, "a:1")
    store = ScalerStore(shard, elector)
    epoch = (await elector.acquire()).epoch
    instance = Instance("i-1", launched_at=3.0, token="t-0", zone="b", market="spot", terminating_at=4.0, reason="idle")
    assert await store.record_intents(epoch, [_intent("t-1", 2)], max_instances=9)
    await store.save(epoch, StateUpdate([instance], documents={"learned": {"x": 1}}))
    state = await store.read()
    assert (state.now, state.intents, state.instances) == (clock.now, [_intent("t-1", 2)], {"i-1": instance})
    assert await store.read_document("learned") == {"x": 1}
    await store.save(epoch, StateUpdate(terminated=["i-1"], completed_intents=["t-1"]))
    state = await store.read()
    assert (state.intents, state.instances, await store.recently_terminated()) == ([], {}, {"i-1"})


async def test_recorded_instances_and_pending_launches_count_against_the_limit(shard: Shard) -> None:
    elector = LeaderElector(shard, "a:1")
    store = ScalerStore(shard, elector)
    epoch = (await elector.acquire()).epoch
    await store.save(epoch, StateUpdate([Instance("i-1", 1.0)]))
    assert await store.record_intents(epoch, [_intent("t-1", 2)], max_instances=4)
    assert not await store.record_intents(epoch, [_intent("t-2", 1), _intent("t-3", 1)], max_instances=4)
    assert await store.record_intents(epoch, [_intent("t-4", 1)], max_instances=4)
    assert {intent.token for intent in (await store.read()).intents} == {"t-1", "t-4"}


async def test_writes_of_a_former_leader_are_rejected(shard: Shard, clock: FakeClock) -> None:
    first, second = LeaderElector(shard, "a:1", clock=clock), LeaderElector(shard, "b:2", clock=clock)
    old = await first.acquire()
    assert first.holds_lease
    clock.advance(LEADER_LEASE_SECONDS)
    assert not first.holds_lease
    new = await second.acquire()
    for epoch in (old.epoch, new.epoch):
        with pytest.raises(LeadershipLost):
            await ScalerStore(shard, first).record_intents(epoch, [_intent("t-1", 1)], max_instances=9)
        with pytest.raises(LeadershipLost):
            await ScalerStore(shard, first).save(epoch, StateUpdate([Instance("i-1", 1.0)], terminated=["i-2"]))
    assert await ScalerStore(shard, second).record_intents(new.epoch, [_intent("t-2", 1)], max_instances=9)
    state = await ScalerStore(shard, second).read()
    assert ([intent.token for intent in state.intents], state.instances) == (["t-2"], {})


async def test_only_the_latest_decisions_are_kept(shard: Shard) -> None:
    elector = LeaderElector(shard, "a:1")
    store = ScalerStore(shard, elector)
    epoch = (await elector.acquire()).epoch
    for number in range(KEPT_DECISIONS + 20):
        await store.save(epoch, StateUpdate(decision={"n": number}))
    (decisions,) = await shard.execute(("LRANGE", keys.scaler(shard.prefix, "decisions"), 0, -1))
    assert [json.loads(each)["n"] for each in decisions] == list(range(KEPT_DECISIONS + 19, 19, -1))
