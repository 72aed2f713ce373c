"""Which shard a job belongs to."""

import re
from collections import Counter
from itertools import groupby

import pytest

from jobqueue.layout import FORMAT, Layout
from jobqueue.shards import IDS_IN_A_ROW, Shards
from jobqueue.topology import Topology


@pytest.fixture
def shards() -> Shards:
    """Six shards of a cluster that nobody asks."""
    prefixes = tuple(f"{{rq:{number}}}" for number in range(6))
    return Shards(Layout(FORMAT, prefixes), Topology("redis://127.0.0.1"))


def test_the_hash_is_the_same_in_every_version(shards: Shards) -> None:
    """Ids are looked for where earlier versions put them."""
    assert [shards.of(job_id).index for job_id in ("a", "order-17", "x_Y-9")] == [3, 2, 3]


def test_own_ids_spread_evenly(shards: Shards) -> None:
    counts = Counter(shards.of(f"customer-{number}").index for number in range(6000))
    assert set(counts) == set(range(6))
    assert max(counts.values()) < 1.2 * min(counts.values())


def test_new_ids_are_random_and_of_the_shard_that_is_wanted(shards: Shards) -> None:
    ids = {shards.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"[0-9a-f]{32}", job_id) for job_id in ids)
    for shard in shards:
        assert shards.of(shards.new_id(shard)) is shard


def test_new_ids_come_in_rows_of_one_shard_and_spread_evenly(shards: Shards) -> None:
    """What comes in together shares script calls; in the long run no shard gets more than another."""
    drawn = [shards.of(shards.new_id()).index for _ in range(10 * 6 * IDS_IN_A_ROW)]
    assert set(Counter(drawn).values()) == {10 * IDS_IN_A_ROW}
    rows = [len(list(row)) for _, row in groupby(drawn)]
    assert rows == [IDS_IN_A_ROW] * 60


def test_nodes_begin_with_different_shards() -> None:
    prefixes = tuple(f"{{rq:{number}}}" for number in range(6))
    nodes = [Shards(Layout(FORMAT, prefixes), Topology("redis://127.0.0.1")) for _ in range(60)]
    assert len({node.of(node.new_id()).index for node in nodes}) > 1


def test_a_shard_shows_where_it_is(shards: Shards) -> None:
    assert [repr(shard) for shard in shards][3] == "Shard(3, '{rq:3}')"
    assert len(shards) == 6
