"""Two managers, and a lease that another program or a wrong clock has spoiled: one of them leads, and it launches."""

from dataclasses import replace
from typing import Any

import pytest

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from scaler.state.leader_election import LEADER_LEASE_SECONDS, MAX_LEASE_SECONDS
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.integration.scaler.conftest import LIMITS, FakeFleet, NewLoop

FAR_AHEAD, SOMEWHAT_AHEAD = 300 * 86_400.0, 30.0
KEY = "leader"


async def _set_fields(shard: Shard, clock: FakeClock, **fields: object) -> None:
    pairs = [each for pair in fields.items() for each in pair]
    await shard.execute(("HSET", keys.scaler(shard.prefix, KEY), *map(_bytes, pairs)))


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


SPOILS: dict[str, Any] = {
    "far ahead, the leader lives": lambda shard, clock: _set_fields(shard, clock, until=clock.now + FAR_AHEAD),
    "far ahead, of a leader that died": lambda shard, clock: _set_fields(
        shard, clock, until=clock.now + FAR_AHEAD, candidate="gone", address="gone:1"
    ),
    "somewhat ahead, of a leader that died": lambda shard, clock: _set_fields(
        shard, clock, until=clock.now + SOMEWHAT_AHEAD, candidate="gone", address="gone:1"
    ),
    "no numbers": lambda shard, clock: _set_fields(shard, clock, until=b"\xff", epoch="x", candidate=b"\xff"),
    "an epoch beyond all integers": lambda shard, clock: _set_fields(shard, clock, epoch="9" * 400),
    "a string": lambda shard, _: shard.execute(("SET", keys.scaler(shard.prefix, KEY), "x")),
    "a stream": lambda shard, _: shard.execute(
        ("DEL", keys.scaler(shard.prefix, KEY)), ("XADD", keys.scaler(shard.prefix, KEY), "*", "x", "y")
    ),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
async def test_one_of_two_managers_leads_and_launches(
    shard: Shard, new_loop: NewLoop, fleet: FakeFleet, clock: FakeClock, spoil: Any
) -> None:
    fleet.profile = replace(fleet.profile, boot_timeout_seconds=300.0)
    loops = [new_loop(fleet, number) for number in (1, 2)]
    await enqueue_jobs(shard, "a", now=clock.now)
    for loop in loops:
        await loop.run_round()
    assert len(fleet.launched) == 1
    await spoil(shard, clock)
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(20)), now=clock.now)
    spoiled_at = clock.now
    while len(fleet.launched) < LIMITS.max_workers:
        clock.advance(2.0)
        decisions = [await loop.run_round() for loop in loops]
        assert sum(decision is not None for decision in decisions) <= 1
        assert clock.now - spoiled_at < MAX_LEASE_SECONDS
    for _ in range(6):
        clock.advance(LEADER_LEASE_SECONDS / 2)
        decisions = [await loop.run_round() for loop in loops]
        assert sum(decision is not None for decision in decisions) == 1
    assert len(fleet.launched) == LIMITS.max_workers
    assert len(set(fleet.launch_tokens)) == len(fleet.launch_tokens)
    assert fleet.terminated == []
