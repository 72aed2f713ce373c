"""Which shard a job belongs to."""

import re
from collections import Counter

import pytest

from jobqueue.servers.topology import Topology
from jobqueue.sharding.layout import RECORD_FORMAT, Layout
from jobqueue.sharding.shard_rotation import TIME_SLICE_SECONDS, ShardRotation
from jobqueue.sharding.shards import Shards


@pytest.fixture
def shards() -> Shards:
    """Six shards of a cluster that is never contacted."""
    prefixes = tuple(f"{{rq:{number}}}" for number in range(6))
    return Shards(Layout(RECORD_FORMAT, prefixes), Topology("redis://127.0.0.1"))


def test_the_hash_is_the_same_in_every_version(shards: Shards) -> None:
    """Jobs are found where earlier versions put them."""
    assert [shards.of(job_id).index for job_id in ("a", "order-17", "x_Y-9")] == [3, 2, 3]


def test_ids_of_clients_are_spread_evenly(shards: Shards) -> None:
    counts = Counter(shards.of(f"customer-{number}").index for number in range(6000))
    assert set(counts) == set(range(6))
    assert max(counts.values()) < 1.2 * min(counts.values())


def test_new_ids_are_random_and_hash_to_the_given_shard(shards: Shards) -> None:
    ids = {shards.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"[0-9a-f]{32}", job_id) for job_id in ids)
    for shard in shards:
        assert shards.of(shards.new_id(shard)) is shard


def test_new_ids_take_all_possible_values(shards: Shards) -> None:
    """Nothing about an id can be predicted except its shard."""
    ids = [shards.new_id(shards.all[2]) for _ in range(2000)]
    assert len(set(ids)) == 2000
    for place in range(32):
        assert len({job_id[place] for job_id in ids}) == 16


def test_new_ids_hash_to_the_current_shard(shards: Shards) -> None:
    """Jobs that arrive together share script calls."""
    now = 0.0
    shards.rotation = ShardRotation(6, lambda: now)
    current_shards: list[int] = []
    for number in range(12):
        now = number * TIME_SLICE_SECONDS
        drawn = {shards.of(shards.new_id()).index for _ in range(100)}
        assert drawn == {shards.in_rotation()[0].index}
        current_shards += drawn
    assert sorted(current_shards[:6]) == list(range(6))
    assert sorted(current_shards[6:]) == list(range(6))


def test_a_single_shard_has_every_id() -> None:
    (shard,) = alone = Shards(Layout(RECORD_FORMAT, ("rq",)), Topology("redis://127.0.0.1"))
    assert alone.of(alone.new_id()) is shard
    assert alone.new_id() != alone.new_id()


def test_a_shard_shows_its_index_and_prefix(shards: Shards) -> None:
    assert [repr(shard) for shard in shards][3] == "Shard(3, '{rq:3}')"
    assert len(shards) == 6
