"""The scaler's stored state, spoiled by other programs: what can be read counts, and nothing ends the scaling."""

import json
from typing import Any

import pytest

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from scaler.fleets.instances import Instance, Intent, LaunchRequest
from scaler.state.leader_election import LeaderElector, read_leadership
from scaler.state.operator_overrides import Overrides
from scaler.state.store import ScalerStore, StateUpdate, read_state
from scaler.view import view_scaler

INTENT = Intent("good", 1.0, 1, LaunchRequest(2, "pool", {}))
GARBAGE = [b"x", b"\xff", b"", b"[]", b"null", b'{"count": "x"}', b'{"launched_at": "x"}', b'{"a":' * 5000]


async def _put(shard: Shard, what: str, name: str, value: str | bytes) -> None:
    await shard.execute(("HSET", keys.scaler(shard.prefix, what), name, value))


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_records_that_cannot_be_read_are_left_out(shard: Shard, garbage: bytes) -> None:
    await _put(shard, "intents", "good", INTENT.to_json())
    await _put(shard, "instances", "i-1", Instance("i-1", 1.0).to_json())
    for what in ("intents", "instances"):
        await _put(shard, what, "bad", garbage)
    await shard.execute(("SET", keys.scaler(shard.prefix, "caution"), garbage))
    state = await read_state(shard)
    assert (list(state.intents), list(state.instances), state.launch_breaker.failures) == ([INTENT], ["i-1"], 0)
    elector = LeaderElector(shard, "a:1")
    epoch = (await elector.acquire()).epoch
    store = ScalerStore(shard, elector)
    assert await store.record_intents(epoch, [INTENT], max_instances=9)
    await store.save(epoch, StateUpdate([Instance("bad", 2.0)]))
    assert set((await read_state(shard)).instances) == {"i-1", "bad"}


@pytest.mark.parametrize("field", list(json.loads(Instance("i", 1.0, "t", "k", "s").to_json())))
@pytest.mark.parametrize("value", [[], {"a": 1}, True, "x", None])
async def test_an_instance_with_a_field_of_another_type_is_left_out_or_whole(
    shard: Shard, field: str, value: object
) -> None:
    stored = json.loads(Instance("i", 1.0, "t", "k", "s").to_json()) | {field: value}
    await _put(shard, "instances", "i", json.dumps(stored))
    for instance in (await read_state(shard)).instances.values():
        assert isinstance(instance.launched_at + 1.0, float)
        assert isinstance(instance.token + instance.kind + instance.subnet, str)


@pytest.mark.parametrize("value", ["x", "nan", "-5", "1e400", "", "9" * 5000])
async def test_an_override_that_is_no_number_counts_as_not_set(shard: Shard, value: str) -> None:
    for name in ("min_workers", "max_workers", "budget_per_hour"):
        await _put(shard, "orders", name, value)
    assert (await read_state(shard)).overrides == Overrides()


@pytest.mark.parametrize("field", ["until", "epoch", "candidate", "address"])
@pytest.mark.parametrize("value", [b"x", b"nan", b"1e300", b"\xff", b""])
async def test_a_lease_of_the_leader_that_makes_no_sense_can_be_taken(shard: Shard, field: str, value: bytes) -> None:
    await _put(shard, "leader", "candidate", "somebody")
    await _put(shard, "leader", field, value)
    await read_leadership(shard)
    leadership = await LeaderElector(shard, "a:1").acquire()
    assert leadership.is_leader
    assert leadership.epoch >= 1


@pytest.mark.parametrize(
    "what", ["leader", "orders", "intents", "instances", "gone", "decisions", "report", "caution", "learned"]
)
async def test_scaling_goes_on_over_a_key_of_another_type(shards: Shards, what: str) -> None:
    shard = shards.all[0]
    await shard.execute(("XADD", keys.scaler(shard.prefix, what), "*", "x", "y"))
    await view_scaler(shards)
    elector = LeaderElector(shard, "a:1")
    epoch = (await elector.acquire()).epoch
    store = ScalerStore(shard, elector)
    assert await store.record_intents(epoch, [INTENT], max_instances=9)
    documents: dict[str, Any] = {name: {"a": 1} for name in ("report", "caution", "learned")}
    await store.save(epoch, StateUpdate([Instance("i-1", 1.0)], ["i-2"], decision={"at": 1}, documents=documents))
    assert set((await store.read()).instances) == {"i-1"}
    assert await store.recently_terminated() == {"i-2"}
    assert (await view_scaler(shards)).report == {"a": 1}


async def test_the_view_leaves_out_decisions_that_cannot_be_read(shards: Shards) -> None:
    shard = shards.all[0]
    await shard.execute(("RPUSH", keys.scaler(shard.prefix, "decisions"), *GARBAGE[:5], '{"at": 1}', "9" * 400))
    await shard.execute(("SET", keys.scaler(shard.prefix, "report"), "x"))
    view = await view_scaler(shards)
    assert (list(view.decisions), view.report) == ([{"at": 1}], None)
