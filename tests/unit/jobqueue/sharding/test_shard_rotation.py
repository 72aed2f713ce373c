"""Whose turn it is among the shards."""

from itertools import pairwise

from jobqueue.sharding.shard_rotation import TIME_SLICE_SECONDS, ShardRotation


def test_everyone_has_a_turn_of_the_same_length() -> None:
    now = 0.0
    turns = ShardRotation(5, lambda: now)
    seen = []
    for tenth in range(500):
        now = (tenth + 0.5) / 10 * TIME_SLICE_SECONDS
        seen.append(turns.current)
    assert {index: seen.count(index) for index in range(5)} == dict.fromkeys(range(5), 100)
    assert sum(left != right for left, right in pairwise(seen)) <= 50


def test_the_ring_begins_with_whose_turn_it_is() -> None:
    now = 0.0
    turns = ShardRotation(4, lambda: now)
    first = turns.order()
    assert sorted(first) == [0, 1, 2, 3]
    assert first[0] == turns.current
    number = turns.slice_number
    now += TIME_SLICE_SECONDS
    assert turns.order() == first[1:] + first[:1]
    assert turns.slice_number == number + 1


def test_nodes_take_turns_in_orders_of_their_own() -> None:
    """So that not all of them are with one master at a time."""
    assert len({tuple(ShardRotation(6, lambda: 0.0).order()) for _ in range(60)}) > 10


def test_who_comes_once_a_round_meets_every_shard() -> None:
    now = 0.0
    turns = ShardRotation(6, lambda: now)
    met = set()
    for round_number in range(200):
        now = (round_number * 6 + 2.5) * TIME_SLICE_SECONDS
        met.add(turns.current)
    assert met == set(range(6))
