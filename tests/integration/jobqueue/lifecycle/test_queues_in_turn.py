"""Workers that serve every queue: they take queues in turn, find new ones, and wake for any of them."""

import asyncio
from collections import Counter

import pytest

from jobqueue import keys
from jobqueue.lifecycle.claim import release
from jobqueue.model import ALL_QUEUES
from jobqueue.sharding.shard import Shard
from jobqueue.workers.messages import WakeUp, wait_for_message
from tests.integration.jobqueue.queue_helpers import claim_jobs, enqueue_jobs, queued_ids, shard_keys

MANY_QUEUES = [f"queue-{number:03}" for number in range(200)]


async def claim_any(shard: Shard, count: int = 1, worker: str = "w1") -> list[str]:
    """Claim like a worker that serves every queue; return the ids."""
    return [job.id for job in await claim_jobs(shard, count, *ALL_QUEUES, worker=worker)]


@pytest.mark.parametrize("queue", ["reports", "a,b", "with space", "größe/日本", "*", "", ":wm", "x" * 300])
async def test_a_worker_for_all_queues_serves_any_name(shard: Shard, queue: str) -> None:
    await enqueue_jobs(shard, "a", queue=queue)
    (job,) = await claim_jobs(shard, 1, *ALL_QUEUES)
    assert (job.id, job.queue) == ("a", queue)
    assert await release(shard, [job]) == 1
    assert await claim_any(shard) == ["a"]
    assert await claim_any(shard) == []


@pytest.mark.parametrize("at_front", [False, True])
async def test_a_queue_is_served_although_something_else_has_pushed_to_its_list_first(
    shard: Shard, at_front: bool
) -> None:
    await shard.execute(("RPUSH", keys.queue(shard.prefix, "reports"), "nothing"))
    await enqueue_jobs(shard, "a", queue="reports", at_front=at_front)
    assert "a" in await claim_any(shard, 2)
    await enqueue_jobs(shard, "b", "c", queue="reports", at_front=at_front)
    await shard.execute(("DEL", keys.queues(shard.prefix), keys.turns(shard.prefix)))
    await enqueue_jobs(shard, "d", queue="reports", at_front=at_front)
    assert {*await claim_any(shard, 9)} == {"b", "c", "d"}


async def test_a_new_job_comes_first_although_another_queue_is_full(shard: Shard) -> None:
    await enqueue_jobs(shard, *(f"big-{number}" for number in range(1000)), queue="big")
    for _ in range(10):
        assert (await claim_any(shard))[0].startswith("big-")
    await enqueue_jobs(shard, "small", queue="small")
    assert await claim_any(shard) == ["small"]


async def test_a_queue_that_always_has_one_job_does_not_starve_a_full_one(shard: Shard) -> None:
    await enqueue_jobs(shard, *(f"big-{number}" for number in range(100)), queue="big")
    served: Counter[str] = Counter()
    for number in range(60):
        if not await queued_ids(shard, "small"):
            await enqueue_jobs(shard, f"small-{number}", queue="small")
        (job_id,) = await claim_any(shard)
        served[job_id.partition("-")[0]] += 1
    assert min(served.values()) >= 15, served


async def test_full_queues_get_equal_shares(shard: Shard) -> None:
    for queue in ("a", "b", "c"):
        await enqueue_jobs(shard, *(f"{queue}-{number}" for number in range(200)), queue=queue)
    one_by_one = Counter([(await claim_any(shard))[0][0] for _ in range(30)])
    assert set(one_by_one.values()) == {10}
    in_one_claim = Counter([job_id[0] for job_id in await claim_any(shard, 30)])
    assert set(in_one_claim.values()) == {10}


async def test_one_claim_fills_up_from_queues_that_have_more(shard: Shard) -> None:
    await enqueue_jobs(shard, *(f"a-{number}" for number in range(100)), queue="a")
    await enqueue_jobs(shard, "b-0", queue="b")
    jobs = await claim_any(shard, 50)
    assert Counter(job_id[0] for job_id in jobs) == {"a": 49, "b": 1}
    # In each queue the order stays.
    assert [job_id for job_id in jobs if job_id[0] == "a"] == [f"a-{number}" for number in range(49)]


async def test_every_one_of_many_queues_is_served_within_one_round(shard: Shard) -> None:
    for queue in MANY_QUEUES:
        await enqueue_jobs(shard, f"{queue}:1", f"{queue}:2", queue=queue)
    first_round = [(await claim_any(shard))[0] for _ in MANY_QUEUES]
    assert {job_id.partition(":")[0] for job_id in first_round} == set(MANY_QUEUES)


async def test_one_claim_looks_at_a_bounded_number_of_queues(shard: Shard) -> None:
    for queue in MANY_QUEUES:
        await enqueue_jobs(shard, queue, queue=queue)
    jobs = await claim_any(shard, 1000)
    assert 1 < len(jobs) <= 16
    while more := await claim_any(shard, 1000):
        jobs += more
    assert sorted(jobs) == MANY_QUEUES


async def test_queues_emptied_by_others_hide_no_job(shard: Shard) -> None:
    for queue in MANY_QUEUES:
        await enqueue_jobs(shard, queue, queue=queue)
    await shard.execute(*(("DEL", keys.queue(shard.prefix, queue)) for queue in MANY_QUEUES[:-1]))
    found: list[str] = []
    for _ in range(100):
        await wait_for_message(shard, "w1", ALL_QUEUES, for_work=True, seconds=30.0)
        if found := await claim_any(shard):
            break
    assert found == MANY_QUEUES[-1:]


async def test_jobs_of_rq_clients_are_found_without_any_manager(shard: Shard) -> None:
    # As RQ writes a job: no wake-up, no turn.
    queue_key = keys.queue(shard.prefix, "reports")
    await shard.execute(
        ("HSET", keys.job(shard.prefix, "a"), "status", "queued", "data", "[]", "origin", "reports"),
        ("SADD", keys.queues(shard.prefix), queue_key),
        ("RPUSH", queue_key, "a"),
    )
    assert await wait_for_message(shard, "w1", ALL_QUEUES, for_work=True, seconds=0.1) == WakeUp("*")
    assert await claim_any(shard) == ["a"]


async def test_a_job_of_any_queue_wakes_one_worker_of_each_kind(shard: Shard) -> None:
    waits = [
        wait_for_message(shard, f"w{number}", queues, for_work=True, seconds=120.0)
        for number, queues in enumerate([ALL_QUEUES, ALL_QUEUES, ("reports",), ("reports",), ("other",)])
    ]
    waiters = [asyncio.create_task(wait) for wait in waits]
    await asyncio.sleep(0.2)
    await enqueue_jobs(shard, "a", queue="reports")
    await asyncio.sleep(0.2)
    woken = [waiter.result() for waiter in waiters if waiter.done()]
    for waiter in waiters:
        waiter.cancel()
    await asyncio.gather(*waiters, return_exceptions=True)
    assert woken == [WakeUp("*"), WakeUp("reports")]


async def test_a_key_of_another_type_in_place_of_a_queue_hides_no_other_queue(shard: Shard) -> None:
    await enqueue_jobs(shard, "lost", queue="bad")
    await shard.execute(("SET", keys.queue(shard.prefix, "bad"), "x"))
    await enqueue_jobs(shard, "a", queue="good")
    assert await claim_any(shard, 10) == ["a"]
    await enqueue_jobs(shard, "b", queue="good")
    assert await claim_any(shard, 10) == ["b"]


@pytest.mark.parametrize("queues", [ALL_QUEUES, ("reports", "default")])
async def test_an_empty_system_keeps_no_turns_and_no_tokens(shard: Shard, queues: tuple[str, ...]) -> None:
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(50)), queue="reports")
    await enqueue_jobs(shard, "other")
    for _ in range(60):
        await claim_jobs(shard, 1, *queues)
    assert {key for key in await shard_keys(shard) if key.startswith(("wm:wake", "wm:turns"))} == set()


async def test_a_worker_that_names_queues_keeps_to_their_order(shard: Shard) -> None:
    for queue in ("a", "b", "c"):
        await enqueue_jobs(shard, f"{queue}-1", f"{queue}-2", queue=queue)
    assert [job.id for job in await claim_jobs(shard, 10, "b", "a")] == ["b-1", "b-2", "a-1", "a-2"]
    assert await claim_any(shard, 10) == ["c-1", "c-2"]


async def test_claiming_from_one_full_queue_writes_no_turns(shard: Shard) -> None:
    await enqueue_jobs(shard, *(f"job-{number}" for number in range(50)))
    await claim_any(shard)
    await claim_any(shard)
    before = await shard.execute(("ZRANGE", keys.turns(shard.prefix), 0, -1, "WITHSCORES"))
    for _ in range(10):
        await claim_any(shard)
    assert await shard.execute(("ZRANGE", keys.turns(shard.prefix), 0, -1, "WITHSCORES")) == before
