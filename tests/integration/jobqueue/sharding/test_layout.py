"""All programs agree on one layout: the number of shards, their prefixes and the record format."""

import asyncio
from collections import Counter

import pytest
from redis.crc import key_slot

from jobqueue.errors import LayoutMismatch, ShardUnavailable
from jobqueue.keys import LAYOUT as LAYOUT_KEY
from jobqueue.sharding.layout import RECORD_FORMAT, WITNESS_SLOT, Layout
from jobqueue.sharding.shards import Shards
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster


async def _prefixes(url: str, **options: int) -> tuple[str, ...]:
    shards = await Shards.connect(url, **options)
    await shards.close()
    return tuple(shard.prefix for shard in shards)


async def test_a_plain_redis_is_one_shard_with_rqs_prefix(redis_url: str) -> None:
    assert await _prefixes(redis_url) == ("rq",)
    with pytest.raises(LayoutMismatch, match=r"has 1 shards?, but this program is configured for 3"):
        await _prefixes(redis_url, shard_count=3)


async def test_a_cluster_has_two_shards_per_master_and_none_in_the_witness_slot(cluster: ValkeyCluster) -> None:
    shards = await Shards.connect(cluster.url)
    owners = shards.topology.masters_by_slot()
    slots = [key_slot(shard.prefix.encode()) for shard in shards]
    assert len(shards) == len(set(slots)) == 6
    assert Counter(owners[slot] for slot in slots) == dict.fromkeys(set(owners), 2)
    assert WITNESS_SLOT not in slots
    await shards.close()


async def test_programs_that_start_at_once_agree_on_the_layout(cluster: ValkeyCluster) -> None:
    found = await asyncio.gather(*(_prefixes(cluster.url) for _ in range(8)))
    assert len(set(found)) == 1


async def test_a_program_with_another_shard_count_fails_with_an_explanation(cluster: ValkeyCluster) -> None:
    first = await _prefixes(cluster.url, shard_count=4)
    assert len(first) == 4
    with pytest.raises(LayoutMismatch, match=r"has 4 shards, but this program is configured for 6.*same number"):
        await _prefixes(cluster.url, shard_count=6)
    assert await _prefixes(cluster.url) == first


@pytest.mark.parametrize("step", [0, 1])
async def test_adjacent_record_formats_are_compatible(redis_url: str, shared_server: ValkeyServer, step: int) -> None:
    shared_server.command("SET", LAYOUT_KEY, Layout(RECORD_FORMAT + step, ("rq",)).to_json())
    assert await _prefixes(redis_url) == ("rq",)


async def test_a_record_format_two_versions_newer_is_rejected(redis_url: str, shared_server: ValkeyServer) -> None:
    shared_server.command("SET", LAYOUT_KEY, Layout(RECORD_FORMAT + 2, ("rq",)).to_json())
    with pytest.raises(LayoutMismatch, match="format 3, but this program knows format 1: start a newer version"):
        await _prefixes(redis_url)


async def test_an_existing_layout_is_kept(redis_url: str) -> None:
    await _prefixes(redis_url)
    assert await _prefixes(redis_url, shard_count=1) == ("rq",)


async def test_no_layout_is_written_while_the_cluster_is_not_formed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Otherwise masters that join later would get no shard, and slots without a master would get jobs."""
    server = ValkeyServer(tmp_path_factory.mktemp("half"), settings={"cluster-enabled": "yes"})
    server.start()
    try:
        server.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
        server.command("CLUSTER", "ADDSLOTSRANGE", 8000, 16383)
        slot = key_slot(LAYOUT_KEY.encode())
        assert slot >= 8000, "the record itself can be written"
        with pytest.raises(ShardUnavailable, match=r"not formed|CLUSTERDOWN|down"):
            await _prefixes(server.url)
    finally:
        server.kill()
