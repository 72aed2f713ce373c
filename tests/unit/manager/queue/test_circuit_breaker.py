"""Shards that are away are left alone for a moment."""

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.servers.topology import Topology
from jobqueue.sharding.layout import Layout
from jobqueue.sharding.shards import Shards
from manager.queue.circuit_breaker import OPEN_SECONDS, SLOW_SECONDS, ShardBreaker


def test_a_shard_that_failed_is_asked_again_after_a_moment() -> None:
    now = 100.0
    first, second = Shards(Layout(1, ("{rq:0}", "{rq:1}")), Topology("redis://127.0.0.1:1"))
    outages = ShardBreaker(lambda: now)
    with pytest.raises(ShardUnavailable, match="cut"), outages.guard(first):
        raise ShardUnavailable("cut")
    assert outages.available([first, second]) == [second]
    with pytest.raises(ShardUnavailable, match="a moment ago"), outages.guard(first):
        pytest.fail("it was asked")
    now += OPEN_SECONDS
    with outages.guard(first):
        pass
    assert outages.available([first, second]) == [first, second]


def test_a_shard_that_takes_its_time_is_asked_for_nothing_that_others_can_do() -> None:
    """But for what only it can do, it is: other questions wait beside the one under way."""
    now = 100.0
    first, second = Shards(Layout(1, ("{rq:0}", "{rq:1}")), Topology("redis://127.0.0.1:1"))
    outages = ShardBreaker(lambda: now)
    with outages.guard(first):
        assert outages.available([first, second]) == [first, second]
        now += SLOW_SECONDS + 0.1
        assert outages.available([first, second]) == [second]
        with outages.guard(first):
            pass
        assert outages.available([first, second]) == [second]
    assert outages.available([first, second]) == [first, second]
