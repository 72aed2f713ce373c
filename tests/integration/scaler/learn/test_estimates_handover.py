"""The next leader continues with the stored estimates."""

import json

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.integration.scaler.conftest import FakeFleet, NewLoop


async def test_the_next_leader_uses_the_stored_estimates(
    shard: Shard, new_loop: NewLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    key = keys.scaler(shard.prefix, "learned")
    first = new_loop(fleet, 1)
    await first.run_round()
    (text,) = await shard.execute(("GET", key))
    learned = {**json.loads(text), "boot_seconds": 77.0}
    await shard.execute(("SET", key, json.dumps(learned)))
    await shard.execute(("HSET", keys.scaler(shard.prefix, "leader"), "until", 0))
    await enqueue_jobs(shard, "a", now=clock.now)
    decision = await new_loop(fleet, 2).run_round()
    assert decision is not None
    assert decision.launch == 1
    assert "cost 77s" in decision.reason


async def test_unreadable_estimates_are_learned_anew(shard: Shard, new_loop: NewLoop, fleet: FakeFleet) -> None:
    for text in ("{", "[]", "{}", '{"service": 1}'):
        await shard.execute(("SET", keys.scaler(shard.prefix, "learned"), text))
        loop = new_loop(fleet, 1)
        assert await loop.run_round() is not None
        await shard.execute(("HSET", keys.scaler(shard.prefix, "leader"), "until", 0))
