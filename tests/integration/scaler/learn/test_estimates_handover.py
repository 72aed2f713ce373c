"""What one leader has learned, the next one knows."""

import json

from jobqueue.sharding.shard import Shard
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.integration.scaler.conftest import FakeFleet, NewLoop


async def test_the_next_leader_goes_on_from_what_was_learned(
    shard: Shard, new_loop: NewLoop, fleet: FakeFleet, clock: FakeClock
) -> None:
    key = f"{shard.prefix}:wm:scaler:learned"
    first = new_loop(fleet, 1)
    await first.tick()
    (text,) = await shard.execute(("GET", key))
    state = json.loads(text)
    state["boot_seconds"] = 77.0
    await shard.execute(("SET", key, json.dumps(state)))
    await shard.execute(("HSET", f"{shard.prefix}:wm:scaler:leader", "until", 0))
    await enqueue_jobs(shard, "a", now=clock.now)
    decision = await new_loop(fleet, 2).tick()
    assert decision is not None
    assert decision.launch == 1
    assert "cost 77s" in decision.reason


async def test_what_cannot_be_read_is_learned_anew(shard: Shard, new_loop: NewLoop, fleet: FakeFleet) -> None:
    for text in ("{", "[]", "{}", '{"service": 1}'):
        await shard.execute(("SET", f"{shard.prefix}:wm:scaler:learned", text))
        loop = new_loop(fleet, 1)
        assert await loop.tick() is not None
        await shard.execute(("HSET", f"{shard.prefix}:wm:scaler:leader", "until", 0))
