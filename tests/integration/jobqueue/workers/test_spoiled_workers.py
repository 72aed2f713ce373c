"""Worker records, commands and heartbeats that other programs have spoiled."""

import pytest

from jobqueue.errors import UnexpectedContent
from jobqueue.sharding.shard import Shard
from jobqueue.workers.manager_heartbeat import seconds_since_manager_heartbeat, send_manager_heartbeat
from jobqueue.workers.messages import WorkerCommand, send_command, wait_for_message
from jobqueue.workers.registry import MAX_SLOTS, UNREADABLE, list_workers, register, send_worker_heartbeat
from tests.integration.jobqueue.queue_helpers import worker_heartbeat, worker_record


@pytest.mark.parametrize("field", ["pid", "wm_slots", "wm_running", "successful_job_count", "queues", "birth", "state"])
@pytest.mark.parametrize("value", [b"x", b"\xff\xfe", b"9" * 5000, b"1e9", b"-5", b"nan", b""])
async def test_a_field_of_a_worker_that_makes_no_sense_hides_no_worker(shard: Shard, field: str, value: bytes) -> None:
    await register(shard, worker_record("bad"))
    await register(shard, worker_record("good", slots=3))
    await shard.execute(("HSET", f"{shard.prefix}:worker:bad", field, value))
    bad, good = await list_workers(shard)
    assert (bad.name, good.name, good.slots, good.pid) == ("bad", "good", 3, 1)
    assert 0 <= bad.running <= MAX_SLOTS


async def test_a_worker_whose_record_is_no_hash_is_listed_as_unreadable(shard: Shard) -> None:
    await register(shard, worker_record("bad"))
    await register(shard, worker_record("good"))
    await shard.execute(("SET", f"{shard.prefix}:worker:bad", "x"))
    await shard.execute(("SADD", f"{shard.prefix}:workers", b"\xff", "nonsense"))
    assert [(worker.name, worker.state) for worker in await list_workers(shard)] == [
        ("bad", UNREADABLE),
        ("good", "idle"),
    ]
    assert not await send_worker_heartbeat(shard, "bad", worker_heartbeat())
    await register(shard, worker_record("bad"))
    assert [worker.state for worker in await list_workers(shard)] == ["idle", "idle"]


@pytest.mark.parametrize("key", ["workers", "wm:workers"])
async def test_a_list_of_workers_of_another_type_is_replaced_by_the_next_heartbeats(shard: Shard, key: str) -> None:
    await shard.execute(("SET", f"{shard.prefix}:{key}", "x"))
    assert await list_workers(shard) == []
    await register(shard, worker_record("w1"))
    assert [worker.name for worker in await list_workers(shard)] == ["w1"]


@pytest.mark.parametrize(
    "message", [b"x", b"\xff", b"[]", b"{}", b"null", b'{"verb"', b"[" * 100_000, b'{"verb": null, "job_id": 5}']
)
async def test_a_command_that_cannot_be_read_is_skipped(shard: Shard, message: bytes) -> None:
    await shard.execute(("RPUSH", f"{shard.prefix}:wm:commands:w1", message))
    await send_command(shard, "w1", WorkerCommand("drain"))
    first = await wait_for_message(shard, "w1", (), for_work=False, seconds=1)
    assert first is None or first == WorkerCommand("None", "5")
    assert await wait_for_message(shard, "w1", (), for_work=False, seconds=1) == WorkerCommand("drain")


@pytest.mark.parametrize("key", ["wm:commands:w1", "wm:wake:default"])
async def test_messages_arrive_again_after_one_failure_over_a_key_of_another_type(shard: Shard, key: str) -> None:
    await shard.execute(("SET", f"{shard.prefix}:{key}", "x"))
    with pytest.raises(UnexpectedContent):
        await wait_for_message(shard, "w1", ("default",), for_work=True, seconds=1)
    await send_command(shard, "w1", WorkerCommand("drain"))
    assert await wait_for_message(shard, "w1", ("default",), for_work=True, seconds=1) == WorkerCommand("drain")


@pytest.mark.parametrize("value", ["x", "", "nan", "inf"])
async def test_a_manager_heartbeat_that_is_no_time_counts_as_none(shard: Shard, value: str) -> None:
    await shard.execute(("SET", f"{shard.prefix}:wm:heard", value))
    assert await seconds_since_manager_heartbeat(shard) is None
    await shard.execute(("DEL", f"{shard.prefix}:wm:heard"), ("RPUSH", f"{shard.prefix}:wm:heard", "x"))
    assert await seconds_since_manager_heartbeat(shard) is None
    await send_manager_heartbeat(shard)
    assert await seconds_since_manager_heartbeat(shard) is not None
