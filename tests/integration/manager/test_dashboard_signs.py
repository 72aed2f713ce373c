"""Signs of trouble are read from a real server: memory that is full, and schedules that nobody runs."""

import time

from jobqueue import keys
from jobqueue.sharding.shards import Shards
from manager.dashboard.signs import LATE_SECONDS, read_signs
from workmanager.local.valkey import ValkeyServer


async def test_full_memory_and_late_schedules_are_found(private_server: ValkeyServer) -> None:
    shards = await Shards.connect(private_server.url)
    (shard,) = shards
    now = time.time()
    for name, at in {"late": now - 300, "soon": now - LATE_SECONDS / 2, "later": now + 60}.items():
        await shard.execute(("ZADD", keys.schedules(shard.prefix), at, name))
    signs = await read_signs(shards)
    assert (signs.full_servers, list(signs.late_schedules)) == ([], ["late"])
    assert 299 <= signs.late_schedules["late"] <= 400
    await shards.close()
    private_server.command("CONFIG", "SET", "maxmemory", 1_000_000)
    shards = await Shards.connect(private_server.url)
    (full,) = (await read_signs(shards)).full_servers
    assert full.startswith("Redis at 127.0.0.1:")
    assert full.endswith("% of its memory")
    private_server.kill()
    signs = await read_signs(shards)
    assert signs.late_schedules == {}
    assert [private_server.url.rpartition("/")[2].split("@")[-1] in text for text in signs.silent_servers] == [True]
    await shards.close()
