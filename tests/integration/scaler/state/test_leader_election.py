"""The lease that makes one manager the leader."""

import asyncio

import pytest

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from scaler.state.leader_election import LEADER_LEASE_SECONDS, LeaderElector, Leadership, read_leadership

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


@pytest.mark.parametrize("seconds", [61, 3600, 300 * 86_400, 2**40])
async def test_a_lease_that_ends_far_ahead_is_free_at_once(shard: Shard, seconds: int) -> None:
    """Redis' clock has stepped back under a leader that died, or the record is spoiled."""
    first, second = LeaderElector(shard, "a:1"), LeaderElector(shard, "b:2")
    await first.acquire(now=NOW)
    await _end_lease_at(shard, NOW + seconds)
    assert await second.acquire(now=NOW) == Leadership(is_leader=True, epoch=2, address="b:2")
    assert await first.acquire(now=NOW) == Leadership(is_leader=False, epoch=2, address="b:2")


@pytest.mark.parametrize("seconds", [6, 30, 60])
async def test_a_lease_that_ends_somewhat_ahead_lasts_for_a_minute_at_most(shard: Shard, seconds: int) -> None:
    first, second = LeaderElector(shard, "a:1"), LeaderElector(shard, "b:2")
    await first.acquire(now=NOW)
    await _end_lease_at(shard, NOW + seconds)
    assert not (await second.acquire(now=NOW)).is_leader
    assert (await second.acquire(now=NOW + seconds)).is_leader


async def test_nobody_is_shown_as_leader_by_a_lease_that_ends_far_ahead(shard: Shard) -> None:
    await LeaderElector(shard, "a:1").acquire()
    assert await read_leadership(shard) is not None
    await _end_lease_at(shard, 2**40)
    assert await read_leadership(shard) is None


async def _end_lease_at(shard: Shard, until: float) -> None:
    await shard.execute(("HSET", keys.scaler(shard.prefix, "leader"), "until", until))
