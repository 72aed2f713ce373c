"""Pulling results: each once, in order, at once or on a lease until they are acknowledged."""

import asyncio
import json

import pytest

from jobqueue.lifecycle.control import delete
from jobqueue.lifecycle.finish import finish
from jobqueue.lifecycle.pull import MAX_PULL_BYTES, PullOrder, acknowledge, pull
from jobqueue.maintenance.expiry import prune
from jobqueue.model import HOUR_SECONDS, RQ_RESULT_TTL_SECONDS
from jobqueue.sharding.shard import Shard
from tests.integration.jobqueue.queue_helpers import (
    NOW,
    claim_jobs,
    complete_jobs,
    dump_shard,
    enqueue_jobs,
    key_ttl,
    nearly,
    results_kept_at,
    shard_keys,
    sorted_set,
    success_outcome,
)

IDS = ["a", "b", "c", "d", "e"]
LEASE_SECONDS = 30.0
"""Lease of the pulled results."""
LEASE_EXPIRED = NOW + LEASE_SECONDS + 1


async def _pull_ids(
    shard: Shard, limit: int = 100, order: PullOrder = "latest", lease: float = 0.0, now: float = NOW
) -> str:
    """Pull results and return the ids of their jobs in one string."""
    results = await pull(shard, limit, order=order, lease_seconds=lease, now=now)
    assert [json.loads(result.value) for result in results] == [result.job_id for result in results]
    return "".join(result.job_id for result in results)


@pytest.mark.parametrize(("order", "chunks"), [("latest", ["ed", "cb", "a", ""]), ("oldest", ["ab", "cd", "e", ""])])
async def test_each_result_is_pulled_once_in_order(shard: Shard, order: PullOrder, chunks: list[str]) -> None:
    await complete_jobs(shard, *IDS[:3])
    await complete_jobs(shard, *IDS[3:])
    assert [await _pull_ids(shard, 2, order) for _ in chunks] == chunks


@pytest.mark.parametrize("order", ["latest", "oldest"])
async def test_large_results_are_pulled_in_replies_of_bounded_size(shard: Shard, order: PullOrder) -> None:
    ids = [f"job-{number:02}" for number in range(20)]
    await enqueue_jobs(shard, *ids)
    large = "x" * (MAX_PULL_BYTES // 4 * 3 // 8)  # an eighth of the limit, in base64
    await finish(shard, "w1", [success_outcome(job, large) for job in await claim_jobs(shard, 20)], now=NOW)
    batches = [await pull(shard, 100, order=order, now=NOW) for _ in range(4)]
    assert [len(batch) for batch in batches] == [8, 8, 4, 0]
    pulled = [result.job_id for batch in batches for result in batch]
    assert pulled == (ids if order == "oldest" else ids[::-1])


async def test_concurrent_pulls_share_the_results(shard: Shard) -> None:
    ids = [f"job-{number:03}" for number in range(300)]
    await complete_jobs(shard, *ids)
    batches = await asyncio.gather(*(pull(shard, 11, now=NOW) for _ in range(40)))
    assert sorted(result.job_id for batch in batches for result in batch) == ids


async def test_a_pulled_result_stays_readable_for_an_hour(shard: Shard) -> None:
    await complete_jobs(shard, "a")
    await complete_jobs(shard, "forever", result_ttl_seconds=-1)
    await complete_jobs(shard, "short", result_ttl_seconds=30)
    await pull(shard, 9, now=NOW)
    assert await results_kept_at(shard, NOW + 29) == {"a", "forever", "short"}
    assert await results_kept_at(shard, NOW + HOUR_SECONDS - 1) == {"a", "forever"}
    assert await results_kept_at(shard, NOW + HOUR_SECONDS) == set()
    assert await sorted_set(shard, "finished:default") == {}


async def test_pulled_results_of_several_queues_stay_readable_for_an_hour(shard: Shard) -> None:
    await complete_jobs(shard, "a")
    await complete_jobs(shard, "b", queue="high")
    await complete_jobs(shard, "c")
    await complete_jobs(shard, "short", queue="high", result_ttl_seconds=30)
    await complete_jobs(shard, "unpulled", queue="low")
    await pull(shard, 4, order="oldest", now=NOW)
    assert await results_kept_at(shard, NOW + 29) == {"a", "b", "c", "short", "unpulled"}
    assert await results_kept_at(shard, NOW + HOUR_SECONDS - 1) == {"a", "b", "c", "unpulled"}
    assert await results_kept_at(shard, NOW + HOUR_SECONDS) == {"unpulled"}


async def test_a_pulled_result_that_rq_recorded_again_keeps_rqs_expiry(shard: Shard) -> None:
    """RQ sets a TTL on both keys and the expiry in the registry."""
    await complete_jobs(shard, "a")
    keys = [f"{shard.prefix}:{name}:a" for name in ("job", "results")]
    await shard.execute(*(("EXPIRE", key, RQ_RESULT_TTL_SECONDS) for key in keys))
    await shard.execute(("ZADD", f"{shard.prefix}:finished:default", NOW + RQ_RESULT_TTL_SECONDS, "a"))
    await pull(shard, 9, now=NOW)
    assert await key_ttl(shard, "job:a") in nearly(RQ_RESULT_TTL_SECONDS)
    assert await key_ttl(shard, "results:a") in nearly(RQ_RESULT_TTL_SECONDS)
    assert await sorted_set(shard, "finished:default") == {"a": NOW + RQ_RESULT_TTL_SECONDS}


@pytest.mark.parametrize("lease", [0.0, LEASE_SECONDS])
async def test_a_repeat_with_the_same_token_returns_the_first_reply(shard: Shard, lease: float) -> None:
    await complete_jobs(shard, *IDS)
    first = await pull(shard, 2, token="t1", lease_seconds=lease, now=NOW)
    assert [result.job_id for result in first] == ["e", "d"]
    before = await dump_shard(shard)
    assert await pull(shard, 2, token="t1", lease_seconds=lease, now=NOW) == first
    assert await dump_shard(shard) == before
    assert [result.job_id for result in await pull(shard, 2, token="t2", now=NOW)] == ["c", "b"]


async def test_leased_results_are_not_pulled_again_while_the_lease_lasts(shard: Shard) -> None:
    await complete_jobs(shard, *IDS)
    assert await _pull_ids(shard, 2, lease=LEASE_SECONDS) == "ed"
    await prune(shard, now=NOW + LEASE_SECONDS - 1)
    assert await _pull_ids(shard, lease=LEASE_SECONDS, now=NOW + LEASE_SECONDS - 1) == "cba"


@pytest.mark.parametrize("order", ["latest", "oldest"])
async def test_unacknowledged_results_return_to_their_place_in_the_feed(shard: Shard, order: PullOrder) -> None:
    await complete_jobs(shard, *IDS[:3])
    assert await _pull_ids(shard, 2, lease=LEASE_SECONDS) == "cb"
    await complete_jobs(shard, *IDS[3:])
    assert await prune(shard, now=LEASE_EXPIRED) == (2, 0)
    assert await _pull_ids(shard, order=order) == ("edcba" if order == "latest" else "abcde")


async def test_an_acknowledged_result_is_never_pulled_again(shard: Shard) -> None:
    await complete_jobs(shard, *IDS)
    assert await _pull_ids(shard, 2, lease=LEASE_SECONDS) == "ed"
    assert await acknowledge(shard, ["e", "unknown"], now=NOW) == 1
    assert await acknowledge(shard, ["e"], now=NOW) == 0
    await prune(shard, now=LEASE_EXPIRED)
    assert await _pull_ids(shard, lease=HOUR_SECONDS, now=LEASE_EXPIRED) == "dcba"
    assert await results_kept_at(shard, NOW + HOUR_SECONDS - 1) == set("abcde")
    assert await results_kept_at(shard, NOW + HOUR_SECONDS) == set("abcd")


async def test_a_late_acknowledgement_removes_the_result_from_the_feed(shard: Shard) -> None:
    await complete_jobs(shard, "a", "b")
    assert await _pull_ids(shard, lease=LEASE_SECONDS) == "ba"
    await prune(shard, now=LEASE_EXPIRED)
    assert await acknowledge(shard, ["a"], now=LEASE_EXPIRED + 1) == 1
    assert await _pull_ids(shard) == "b"


async def test_a_late_acknowledgement_of_a_result_pulled_by_another_changes_nothing(shard: Shard) -> None:
    await complete_jobs(shard, "a")
    await _pull_ids(shard, lease=LEASE_SECONDS)
    await prune(shard, now=LEASE_EXPIRED)
    assert await _pull_ids(shard, now=LEASE_EXPIRED) == "a"
    before = await dump_shard(shard)
    assert await acknowledge(shard, ["a"], now=LEASE_EXPIRED + 1) == 0
    assert await dump_shard(shard) == before


async def test_acknowledging_an_earlier_result_of_an_id_leaves_its_new_one_in_the_feed(shard: Shard) -> None:
    await complete_jobs(shard, "a")
    await pull(shard, 1, lease_seconds=60, now=NOW)
    # As a plain RQ client deletes it.
    await shard.execute(("DEL", f"{shard.prefix}:job:a", f"{shard.prefix}:results:a"))
    await complete_jobs(shard, "a", now=NOW + 1)
    assert await acknowledge(shard, ["a"], now=NOW + 2) == 1
    assert await results_kept_at(shard, NOW + 2 * HOUR_SECONDS) == {"a"}, "an hour is for results that were pulled"
    assert [result.job_id for result in await pull(shard, 10, lease_seconds=60, now=NOW + 3)] == ["a"]
    assert await acknowledge(shard, ["a"], now=NOW + 4) == 1
    assert await results_kept_at(shard, NOW + 2 * HOUR_SECONDS) == set()


async def test_deleted_results_are_skipped(shard: Shard) -> None:
    await complete_jobs(shard, *IDS)
    await delete(shard, ["d"])
    await shard.execute(("DEL", f"{shard.prefix}:job:c", f"{shard.prefix}:results:c"))
    assert await _pull_ids(shard, 2) == "eb"
    assert await _pull_ids(shard, 2) == "a"


async def test_the_feed_is_empty_when_all_is_pulled_and_acknowledged(shard: Shard) -> None:
    await complete_jobs(shard, *IDS)
    await _pull_ids(shard, 2)
    await _pull_ids(shard, lease=LEASE_SECONDS)
    await acknowledge(shard, IDS, now=NOW)
    assert {key for key in await shard_keys(shard) if key.startswith("wm:feed")} == {"wm:feed:sequence"}
