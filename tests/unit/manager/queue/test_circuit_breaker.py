"""Shards that failed or are slow are left alone for a moment."""

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.servers.topology import Topology
from jobqueue.sharding.layout import Layout
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from manager.queue.circuit_breaker import OPEN_SECONDS, REFUSE_SECONDS, SLOW_SECONDS, ShardBreaker


def two_shards() -> Shards:
    """Return shards that are never contacted."""
    return Shards(Layout(1, ("{rq:0}", "{rq:1}")), Topology("redis://127.0.0.1:1"))


def fail(breaker: ShardBreaker, shard: Shard) -> None:
    """Let a call to the shard fail."""
    with pytest.raises(ShardUnavailable, match="connection lost"), breaker.guard(shard):
        raise ShardUnavailable("connection lost")


def test_a_failed_shard_is_asked_again_after_a_moment() -> None:
    now = 100.0
    first, second = two_shards()
    breaker = ShardBreaker(lambda: now)
    fail(breaker, first)
    assert breaker.available([first, second]) == [second]
    with pytest.raises(ShardUnavailable, match="a moment ago"), breaker.guard(first):
        pytest.fail("the shard was asked")
    now += REFUSE_SECONDS
    with breaker.guard(first):
        pass
    assert breaker.available([first, second]) == [first, second]


def test_work_that_others_can_do_skips_a_failed_shard_for_longer() -> None:
    """As long as work that only this shard can do fails, the rest does not try it."""
    now = 100.0
    first, second = two_shards()
    breaker = ShardBreaker(lambda: now)
    fail(breaker, first)
    now += OPEN_SECONDS - 0.1
    fail(breaker, first)
    now += OPEN_SECONDS - 0.1
    assert breaker.available([first, second]) == [second]
    now += 0.1
    assert breaker.available([first, second]) == [first, second]


def test_a_slow_shard_is_skipped_for_work_that_others_can_do() -> None:
    """Work that only this shard can do is still sent to it."""
    now = 100.0
    first, second = two_shards()
    breaker = ShardBreaker(lambda: now)
    with breaker.guard(first):
        assert breaker.available([first, second]) == [first, second]
        now += SLOW_SECONDS + 0.1
        assert breaker.available([first, second]) == [second]
        with breaker.guard(first):
            pass
        assert breaker.available([first, second]) == [second]
    assert breaker.available([first, second]) == [first, second]
