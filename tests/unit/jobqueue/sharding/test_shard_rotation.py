"""Which shard is current, and for how long."""

from itertools import pairwise

from jobqueue.sharding.shard_rotation import TIME_SLICE_SECONDS, ShardRotation


def test_every_shard_gets_slices_of_the_same_length() -> None:
    now = 0.0
    rotation = ShardRotation(5, lambda: now)
    seen = []
    for tenth in range(500):
        now = (tenth + 0.5) / 10 * TIME_SLICE_SECONDS
        seen.append(rotation.current)
    assert {index: seen.count(index) for index in range(5)} == dict.fromkeys(range(5), 100)
    assert sum(left != right for left, right in pairwise(seen)) <= 50


def test_the_order_starts_with_the_current_shard() -> None:
    now = 0.0
    rotation = ShardRotation(4, lambda: now)
    first = rotation.order()
    assert sorted(first) == [0, 1, 2, 3]
    assert first[0] == rotation.current
    number = rotation.slice_number
    now += TIME_SLICE_SECONDS
    assert rotation.order() == first[1:] + first[:1]
    assert rotation.slice_number == number + 1


def test_each_program_has_its_own_order() -> None:
    """So that they do not all use the same master at once."""
    assert len({tuple(ShardRotation(6, lambda: 0.0).order()) for _ in range(60)}) > 10


def test_a_client_that_calls_once_a_round_meets_every_shard() -> None:
    now = 0.0
    rotation = ShardRotation(6, lambda: now)
    met = set()
    for round_number in range(200):
        now = (round_number * 6 + 2.5) * TIME_SLICE_SECONDS
        met.add(rotation.current)
    assert met == set(range(6))
