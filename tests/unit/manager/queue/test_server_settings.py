"""Which settings of a Redis server are told, by its INFO."""

import pytest

from manager.queue.server_settings import risk_of

SOUND = {"aof_enabled": "1", "maxmemory_policy": "noeviction", "cluster_enabled": "0", "connected_slaves": "0"}
MEMBER = SOUND | {"cluster_enabled": "1"}


@pytest.mark.parametrize(
    ("info", "told"),
    [
        (SOUND, []),
        ({}, []),
        (SOUND | {"aof_enabled": "0"}, ["set appendonly yes"]),
        (SOUND | {"maxmemory_policy": "allkeys-lru"}, ["set maxmemory-policy noeviction"]),
        (SOUND | {"maxmemory_policy": "volatile-ttl"}, ["set maxmemory-policy noeviction"]),
        (SOUND | {"aof_enabled": "0", "maxmemory_policy": "allkeys-lfu"}, ["appendonly", "maxmemory-policy"]),
        (SOUND | {"aof_enabled": "0", "connected_slaves": "1"}, ["set appendonly yes"]),
        (MEMBER | {"aof_enabled": "0"}, ["set appendonly yes"]),
        (MEMBER | {"aof_enabled": "0", "connected_slaves": "1"}, []),
    ],
    ids=range(9),
)
def test_what_can_lose_jobs_is_told_with_what_to_set(info: dict[str, str], told: list[str]) -> None:
    risk = risk_of(info)
    assert (risk is not None) == bool(told)
    assert all(words in (risk or "") for words in told)
