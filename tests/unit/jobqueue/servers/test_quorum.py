"""When a majority of a cluster's masters was last in touch with one of them."""

from dataclasses import replace

import pytest
from redis.exceptions import ResponseError

from jobqueue.servers.quorum import ALWAYS, NEVER, MasterView, TimedView, majority_contact_time

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


@pytest.mark.parametrize("flags", [b"slave", b"slave,fail?", b"slave,fail", b"slave,noaddr"])
def test_a_master_that_no_server_follows_is_irreplaceable(flags: bytes) -> None:
    """A failed replica may be back at any moment."""
    text = nodes().replace(b" slave a1 ", b" " + flags + b" a1 ")
    assert MasterView.parse([text, INFO, TIME]).irreplaceable == {"b1", "w1"}


def test_none_is_irreplaceable_while_a_replica_follows_a_server_without_slots() -> None:
    """It will follow the master that has taken them."""
    text = nodes().replace(b" slave a1 ", b" slave old ")
    assert MasterView.parse([text, INFO, TIME]).irreplaceable == set()


def make_view(name: str, seconds_since_contact: dict[str, float], *irreplaceable: str, size: int = 3) -> MasterView:
    return MasterView(name, True, size, seconds_since_contact, frozenset(irreplaceable))


OWN = make_view("m", {})


def view_of(name: str, seconds: float, *, asked_at: float = 100.0, size: int = 3) -> TimedView:
    """The view of a master that heard from `OWN` some seconds before it was asked."""
    return TimedView(make_view(name, {"m": seconds}, size=size), asked_at)


def view_without_successor(name: str, *, size: int = 3, can_vote: bool = True) -> TimedView:
    """The view of a master that knows no server that could replace `OWN`, and has not heard from it."""
    return TimedView(replace(make_view(name, {}, "m", size=size), can_vote=can_vote), 100.0)


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
        ([TimedView(replace(make_view("b", {"m": 0.5}), can_vote=False), 100.0)], NEVER),
        ([TimedView(make_view("b", {"x": 0.5}), 100.0)], NEVER),
    ],
)
def test_contact_needs_a_majority(views: list[TimedView], contact_time: float) -> None:
    assert majority_contact_time(OWN, views) == contact_time


@pytest.mark.parametrize(
    ("own_successor_known", "views", "contact_time"),
    [
        (False, [view_without_successor("b")], ALWAYS),
        (False, [view_without_successor("b"), view_of("c", 0.5)], ALWAYS),
        # The next ones prove nothing, so that only contact counts.
        (True, [view_without_successor("b"), view_of("c", 0.5)], 99.5),
        (False, [], NEVER),
        (False, [view_of("c", 0.5)], 99.5),
        (False, [view_without_successor("b", can_vote=False)], NEVER),
        (False, [view_without_successor("m")], NEVER),
        # Two of five would be less than a majority with it; a server that is asked at two addresses has one vote.
        (False, [view_without_successor("b", size=5)] * 2, NEVER),
        (False, [view_without_successor("b", size=5), view_without_successor("c", size=5)], ALWAYS),
    ],
)
def test_a_majority_that_knows_no_successor_needs_no_contact(
    own_successor_known: bool, views: list[TimedView], contact_time: float
) -> None:
    own = OWN if own_successor_known else make_view("m", {}, "m")
    assert majority_contact_time(own, views) == contact_time


def test_a_master_outside_the_majority_has_no_contact() -> None:
    cut_off = replace(make_view("m", {}, "m"), can_vote=False)
    assert majority_contact_time(cut_off, [view_of("b", 0.1), view_without_successor("c")]) == NEVER


def test_a_single_master_has_no_contact() -> None:
    assert majority_contact_time(replace(OWN, master_count=1), []) == NEVER
