"""The lease that lets one manager act."""

import asyncio

from jobqueue.sharding.shard import Shard
from scaler.state.leader_election import LEADER_LEASE_SECONDS, LeaderElector, Leadership

NOW = 1_900_000_000.0


async def test_one_of_many_leads_and_all_know_whom(shard: Shard) -> None:
    candidates = [LeaderElector(shard, f"host:{number}") for number in range(6)]
    answers = await asyncio.gather(*(candidate.acquire(now=NOW) for candidate in candidates))
    (leader,) = [number for number, answer in enumerate(answers) if answer.is_leader]
    assert {answer.address for answer in answers} == {f"host:{leader}"}
    assert {answer.epoch for answer in answers} == {1}


async def test_the_leader_keeps_the_lease_and_its_epoch_by_renewing(shard: Shard) -> None:
    first, second = LeaderElector(shard, "a:1"), LeaderElector(shard, "b:2")
    for round_ in range(5):
        now = NOW + round_ * (LEADER_LEASE_SECONDS - 1)
        assert await first.acquire(now=now) == Leadership(True, 1, "a:1")
        assert await second.acquire(now=now) == Leadership(False, 1, "a:1")


async def test_a_silent_leader_is_succeeded_when_its_lease_has_run_out(shard: Shard) -> None:
    first, second = LeaderElector(shard, "a:1"), LeaderElector(shard, "b:2")
    await first.acquire(now=NOW)
    assert not (await second.acquire(now=NOW + LEADER_LEASE_SECONDS - 0.1)).is_leader
    assert await second.acquire(now=NOW + LEADER_LEASE_SECONDS) == Leadership(True, 2, "b:2")
    assert await first.acquire(now=NOW + LEADER_LEASE_SECONDS) == Leadership(False, 2, "b:2")


async def test_a_leader_that_let_its_lease_run_out_begins_a_new_epoch(shard: Shard) -> None:
    candidate = LeaderElector(shard, "a:1")
    await candidate.acquire(now=NOW)
    assert (await candidate.acquire(now=NOW + LEADER_LEASE_SECONDS + 1)).epoch == 2


async def test_who_resigns_is_succeeded_at_once(shard: Shard) -> None:
    first, second = LeaderElector(shard, "a:1"), LeaderElector(shard, "b:2")
    await first.acquire(now=NOW)
    await second.release()
    assert not (await second.acquire(now=NOW)).is_leader
    await first.release()
    assert await second.acquire(now=NOW) == Leadership(True, 2, "b:2")
