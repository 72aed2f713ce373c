"""The records of API keys in Redis: changes that race, records that something else has written, one Redis or many."""

from collections.abc import AsyncIterator

import pytest

from jobqueue import keys
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.api_keys import store
from manager.api_keys.record import digest_of, new_key
from manager.api_keys.store import delete_key, read_keys, save_key
from workmanager.local.valkey_cluster import ValkeyCluster

NOW = 1_800_000_000.0


@pytest.fixture
async def shard(redis_url: str) -> AsyncIterator[Shard]:
    shards = await Shards.connect(redis_url)
    yield shards.all[0]
    await shards.close()


async def test_a_roll_that_races_with_a_revocation_does_not_bring_the_key_back(shard: Shard) -> None:
    record, _ = new_key(["jobs:read"], [], "env-1", None, NOW)
    assert await save_key(shard, record, None) == "saved"
    read = (await read_keys(shard)).texts[record.id]
    assert await delete_key(shard, record.id, b"something else") == "changed"
    assert await delete_key(shard, record.id, read) == "saved"
    rolled, _ = record.roll(60.0, NOW)
    assert await save_key(shard, rolled, read) == "changed"
    assert (await read_keys(shard)).records() == []


async def test_two_rolls_at_the_same_time_do_not_lose_a_secret(shard: Shard) -> None:
    record, _ = new_key(["jobs:read"], [], "env-1", None, NOW)
    assert await save_key(shard, record, None) == "saved"
    read = (await read_keys(shard)).texts[record.id]
    one, text = record.roll(60.0, NOW)
    other, _ = record.roll(60.0, NOW)
    assert await save_key(shard, one, read) == "saved"
    # As a repeat does whose first answer was lost.
    assert await save_key(shard, one, read) == "saved"
    assert await save_key(shard, other, read) == "changed"
    (stored,) = (await read_keys(shard)).records()
    assert digest_of(text.encode()) in stored.valid_digests(NOW)


async def test_a_record_that_something_else_has_written_costs_itself_alone(shard: Shard) -> None:
    record, _ = new_key(["jobs:read"], [], "env-1", None, NOW)
    assert await save_key(shard, record, None) == "saved"
    await shard.execute(("HSET", keys.api_keys(shard.prefix), "broken", "{"))
    assert (await read_keys(shard)).records() == [record]
    await shard.execute(("DEL", keys.api_keys(shard.prefix)), ("SET", keys.api_keys(shard.prefix), "no hash"))
    assert (await read_keys(shard)).records() == []
    assert await save_key(shard, record, None) == "saved"
    assert (await read_keys(shard)).records() == [record]


async def test_there_can_be_so_many_keys(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_KEYS", 2)
    records = [new_key(["jobs:read"], [], "env-1", None, NOW)[0] for _ in range(3)]
    assert [await save_key(shard, record, None) for record in records] == ["saved", "saved", "full"]
    rolled, _ = records[0].roll(60.0, NOW)
    assert await save_key(shard, rolled, records[0].to_json().encode()) == "saved"


async def test_keys_are_kept_on_a_cluster(cluster: ValkeyCluster) -> None:
    shards = await Shards.connect(cluster.url)
    record, _ = new_key(["jobs:read"], ["reports-*"], "env-1", 60.0, NOW)
    try:
        assert await save_key(shards.all[0], record, None) == "saved"
        assert (await read_keys(shards.all[0])).records() == [record]
        assert await delete_key(shards.all[0], record.id, record.to_json().encode()) == "saved"
    finally:
        await shards.close()
