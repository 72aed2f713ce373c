"""The lease that makes one manager the leader."""

import asyncio

from jobqueue.sharding.shard import Shard
from scaler.state.leader_election import LEADER_LEASE_SECONDS, LeaderElector, Leadership

NOW = 1_900_000_000.0


async def test_one_manager_leads_and_all_know_which(shard: Shard) -> None:
    electors = [LeaderElector(shard, f"host:{number}") for number in range(6)]
    answers = await asyncio.gather(*(elector.acquire(now=NOW) for elector in electors))
    (leader,) = [number for number, answer in enumerate(answers) if answer.is_leader]
    assert {answer.address for answer in answers} == {f"host:{leader}"}
    assert {answer.epoch for answer in answers} == {1}


async def test_renewing_keeps_the_lease_and_its_epoch(shard: Shard) -> None:
    first, second = LeaderElector(shard, "a:1"), LeaderElector(shard, "b:2")
    for round_ in range(5):
        now = NOW + round_ * (LEADER_LEASE_SECONDS - 1)
        assert await first.acquire(now=now) == Leadership(is_leader=True, epoch=1, address="a:1")
        assert await second.acquire(now=now) == Leadership(is_leader=False, epoch=1, address="a:1")


async def test_another_manager_leads_once_the_lease_has_expired(shard: Shard) -> None:
    first, second = LeaderElector(shard, "a:1"), LeaderElector(shard, "b:2")
    await first.acquire(now=NOW)
    assert not (await second.acquire(now=NOW + LEADER_LEASE_SECONDS - 0.1)).is_leader
    assert await second.acquire(now=NOW + LEADER_LEASE_SECONDS) == Leadership(is_leader=True, epoch=2, address="b:2")
    assert await first.acquire(now=NOW + LEADER_LEASE_SECONDS) == Leadership(is_leader=False, epoch=2, address="b:2")


async def test_a_leader_whose_lease_has_expired_starts_a_new_epoch(shard: Shard) -> None:
    elector = LeaderElector(shard, "a:1")
    await elector.acquire(now=NOW)
    assert (await elector.acquire(now=NOW + LEADER_LEASE_SECONDS + 1)).epoch == 2


async def test_a_released_lease_is_free_at_once(shard: Shard) -> None:
    first, second = LeaderElector(shard, "a:1"), LeaderElector(shard, "b:2")
    await first.acquire(now=NOW)
    await second.release()
    assert not (await second.acquire(now=NOW)).is_leader
    await first.release()
    assert await second.acquire(now=NOW) == Leadership(is_leader=True, epoch=2, address="b:2")
