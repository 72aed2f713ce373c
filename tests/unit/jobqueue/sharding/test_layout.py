"""Planning the shards of a new queue."""

from collections import Counter

import pytest
from redis.crc import key_slot

from jobqueue.errors import LayoutMismatch, ShardUnavailable
from jobqueue.servers.cluster_map import HASH_SLOTS, ClusterMap
from jobqueue.servers.topology import Topology
from jobqueue.sharding.layout import RECORD_FORMAT, WITNESS_SLOT, Layout, plan_layout


class KnownTopology(Topology):
    """A topology with a given map: ranges of slots and their masters."""

    def __init__(self, *ranges: tuple[int, int, str], clustered: bool = True) -> None:
        super().__init__("redis://127.0.0.1")
        self._map = ClusterMap((), frozenset(), 0, has_majority=True, clustered=clustered)
        self._owners = [""] * HASH_SLOTS
        for first, last, master in ranges:
            self._owners[first : last + 1] = [master] * (last - first + 1)

    def masters_by_slot(self) -> list[str]:
        return self._owners


EVEN = KnownTopology((0, 5460, "a"), (5461, 10922, "b"), (10923, 16383, "c"))
UNEVEN = KnownTopology((0, 999, "a"), (1000, 15999, "b"), (16000, 16383, "c"))
SCATTERED = KnownTopology((0, 99, "b"), (100, 8191, "a"), (8192, 16383, "b"))
WITNESSED = KnownTopology((0, 8191, "a"), (8192, 16382, "b"), (16383, 16383, "witness"))


def _shards_by_master(topology: KnownTopology, layout: Layout) -> Counter[str]:
    return Counter(topology.masters_by_slot()[key_slot(prefix.encode())] for prefix in layout.prefixes)


@pytest.mark.parametrize(
    ("topology", "count", "shards_by_master"),
    [
        (EVEN, None, {"a": 2, "b": 2, "c": 2}),
        (EVEN, 3, {"a": 1, "b": 1, "c": 1}),
        (EVEN, 8, {"a": 3, "b": 3, "c": 2}),
        (EVEN, 1, {"a": 1}),
        (UNEVEN, None, {"a": 2, "b": 2, "c": 2}),
        (SCATTERED, None, {"a": 2, "b": 2}),
        (WITNESSED, None, {"a": 2, "b": 2}),
        (WITNESSED, 6, {"a": 3, "b": 3}),
    ],
)
def test_shards_spread_evenly_over_masters_that_hold_jobs(
    topology: KnownTopology, count: int | None, shards_by_master: dict[str, int]
) -> None:
    layout = plan_layout(topology, count)
    assert _shards_by_master(topology, layout) == shards_by_master
    slots = {key_slot(prefix.encode()) for prefix in layout.prefixes}
    assert len(slots) == len(layout.prefixes)
    assert WITNESS_SLOT not in slots


def test_all_keys_of_a_shard_are_in_one_slot() -> None:
    for prefix in plan_layout(EVEN, None).prefixes:
        assert key_slot(f"{prefix}:job:x".encode()) == key_slot(f"{prefix}:queue:y".encode())


def test_the_same_cluster_gives_the_same_plan() -> None:
    assert plan_layout(EVEN, None) == plan_layout(EVEN, None)


def test_a_plain_redis_has_one_shard() -> None:
    plain = KnownTopology((0, 16383, "a"), clustered=False)
    assert plan_layout(plain, None) == plan_layout(plain, 1) == Layout(RECORD_FORMAT, ("rq",))
    with pytest.raises(LayoutMismatch, match="1 shard, but this program is configured for 2"):
        plan_layout(plain, 2)


def test_a_cluster_that_is_not_formed_gets_no_layout() -> None:
    with pytest.raises(ShardUnavailable, match=r"8192 slots .* not formed"):
        plan_layout(KnownTopology((0, 8191, "a")), None)


def test_a_layout_survives_json() -> None:
    layout = plan_layout(EVEN, 4)
    assert Layout.from_json(layout.to_json()) == layout
    assert Layout.from_json(layout.to_json().encode()) == layout
