"""When a majority of a cluster's masters was last in touch with one of them."""

from dataclasses import replace

import pytest
from redis.exceptions import ResponseError

from jobqueue.servers.quorum import NEVER, MasterView, TimedView, majority_contact_time

NODES = b"""\
a1 10.0.0.1:6379@16379,,shard-id=x master - 0 1700000000500 4 connected 0-8191
b1 10.0.0.2:6379@16379 myself,master - 0 0 2 connected 8192-16382 [93-<-a1]
a2 10.0.0.2:6380@16380 slave a1 0 1700000000900 4 connected
w1 10.0.0.3:6379@16379 {witness} - 0 {answered} 3 connected 16383
old 10.0.0.1:6380@16380 master - 0 1700000000500 1 connected
"""
INFO = b"cluster_state:ok\r\ncluster_size:3\r\n"
TIME = [b"1700000001", b"250000"]


def nodes(witness: str = "master", answered: int = 1_700_000_000_000) -> bytes:
    return NODES.replace(b"{witness}", witness.encode()).replace(b"{answered}", str(answered).encode())


def test_a_view_tells_how_long_ago_each_master_answered() -> None:
    view = MasterView.parse([nodes(), INFO, TIME])
    assert (view.id, view.can_vote, view.master_count) == ("b1", True, 3)
    assert view.seconds_since_contact == pytest.approx({"a1": 0.75, "w1": 1.25})


@pytest.mark.parametrize("witness", ["master,fail?", "master,fail", "slave"])
def test_suspected_servers_and_replicas_are_left_out(witness: str) -> None:
    assert MasterView.parse([nodes(witness), INFO, TIME]).seconds_since_contact.keys() == {"a1"}


def test_a_time_in_the_future_is_left_out() -> None:
    """It was learned from a member whose clock is ahead."""
    assert MasterView.parse([nodes(answered=1_700_000_001_300), INFO, TIME]).seconds_since_contact.keys() == {"a1"}


def test_a_server_outside_the_majority_or_without_slots_cannot_vote() -> None:
    assert not MasterView.parse([nodes(), b"cluster_state:fail", TIME]).can_vote
    assert not MasterView.parse([nodes().replace(b"myself,master", b"myself,slave"), INFO, TIME]).can_vote
    assert not MasterView.parse([nodes().replace(b" 8192-16382 [93-<-a1]", b""), INFO, TIME]).can_vote


def test_an_error_reply_makes_no_view() -> None:
    with pytest.raises(ValueError, match="NOPERM"):
        MasterView.parse([ResponseError("NOPERM no such right"), INFO, TIME])


OWN = MasterView("m", can_vote=True, master_count=3, seconds_since_contact={})


def view_of(name: str, seconds: float, *, asked_at: float = 100.0, size: int = 3) -> TimedView:
    """The view of a master that heard from `OWN` some seconds before it was asked."""
    return TimedView(MasterView(name, can_vote=True, master_count=size, seconds_since_contact={"m": seconds}), asked_at)


@pytest.mark.parametrize(
    ("views", "contact_time"),
    [
        ([], NEVER),
        ([view_of("b", 0.5)], 99.5),
        ([view_of("b", 3.0), view_of("c", 1.0)], 99.0),
        ([view_of("b", 3.0, asked_at=102.5), view_of("c", 1.0)], 99.5),
        # Two of five would be less than a majority with it.
        ([view_of("b", 0.5, size=5)], NEVER),
        ([view_of("b", 0.5, size=5), view_of("c", 2.0, size=5), view_of("d", 1.0, size=5)], 99.0),
        # A server that is asked at two addresses has one vote.
        ([view_of("b", 0.5, size=5), view_of("b", 0.5, size=5)], NEVER),
        ([view_of("m", 0.5)], NEVER),
        ([TimedView(MasterView("b", can_vote=False, master_count=3, seconds_since_contact={"m": 0.5}), 100.0)], NEVER),
        ([TimedView(MasterView("b", can_vote=True, master_count=3, seconds_since_contact={"x": 0.5}), 100.0)], NEVER),
    ],
)
def test_contact_needs_a_majority(views: list[TimedView], contact_time: float) -> None:
    assert majority_contact_time(OWN, views) == contact_time


def test_a_master_outside_the_majority_has_no_contact() -> None:
    assert majority_contact_time(replace(OWN, can_vote=False), [view_of("b", 0.1), view_of("c", 0.1)]) == NEVER


def test_a_single_master_has_no_contact() -> None:
    assert majority_contact_time(replace(OWN, master_count=1), []) == NEVER
