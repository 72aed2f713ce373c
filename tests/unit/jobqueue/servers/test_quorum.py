"""When the masters of a cluster are taken to have been in touch with one of them."""

from dataclasses import replace

import pytest
from redis.exceptions import ResponseError

from jobqueue.servers.quorum import MasterView, TimedView, majority_contact_time

NEVER = float("-inf")
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


def test_it_says_who_has_answered_and_how_long_ago() -> None:
    census = MasterView.parse([nodes(), INFO, TIME])
    assert (census.id, census.can_vote, census.master_count) == ("b1", True, 3)
    assert census.seconds_since_contact == pytest.approx({"a1": 0.75, "w1": 1.25})


@pytest.mark.parametrize("witness", ["master,fail?", "master,fail", "slave"])
def test_who_is_suspected_or_no_master_is_not_vouched_for(witness: str) -> None:
    assert MasterView.parse([nodes(witness), INFO, TIME]).seconds_since_contact.keys() == {"a1"}


def test_an_answer_from_the_future_counts_for_nothing() -> None:
    """It was learnt from a member whose clock is ahead."""
    assert MasterView.parse([nodes(answered=1_700_000_001_300), INFO, TIME]).seconds_since_contact.keys() == {"a1"}


def test_who_is_not_with_the_majority_or_has_no_slots_does_not_vote() -> None:
    assert not MasterView.parse([nodes(), b"cluster_state:fail", TIME]).can_vote
    assert not MasterView.parse([nodes().replace(b"myself,master", b"myself,slave"), INFO, TIME]).can_vote
    assert not MasterView.parse([nodes().replace(b" 8192-16382 [93-<-a1]", b""), INFO, TIME]).can_vote


def test_a_refusal_says_nothing() -> None:
    with pytest.raises(ValueError, match="NOPERM"):
        MasterView.parse([ResponseError("NOPERM no such right"), INFO, TIME])


OWN = MasterView("m", can_vote=True, master_count=3, seconds_since_contact={})


def hearing(name: str, silent: float, *, asked_at: float = 100.0, size: int = 3) -> TimedView:
    return TimedView(MasterView(name, can_vote=True, master_count=size, seconds_since_contact={"m": silent}), asked_at)


@pytest.mark.parametrize(
    ("hearings", "moment"),
    [
        ([], NEVER),
        ([hearing("b", 0.5)], 99.5),
        ([hearing("b", 3.0), hearing("c", 1.0)], 99.0),
        ([hearing("b", 3.0, asked_at=102.5), hearing("c", 1.0)], 99.5),
        # Two of five would be less than a majority with it.
        ([hearing("b", 0.5, size=5)], NEVER),
        ([hearing("b", 0.5, size=5), hearing("c", 2.0, size=5), hearing("d", 1.0, size=5)], 99.0),
        # One that is asked under two names has one vote.
        ([hearing("b", 0.5, size=5), hearing("b", 0.5, size=5)], NEVER),
        ([hearing("m", 0.5)], NEVER),
        ([TimedView(MasterView("b", can_vote=False, master_count=3, seconds_since_contact={"m": 0.5}), 100.0)], NEVER),
        ([TimedView(MasterView("b", can_vote=True, master_count=3, seconds_since_contact={"x": 0.5}), 100.0)], NEVER),
    ],
)
def test_a_majority_must_have_heard_from_it(hearings: list[TimedView], moment: float) -> None:
    assert majority_contact_time(OWN, hearings) == moment


def test_a_master_that_does_not_serve_is_vouched_for_by_nobody() -> None:
    assert majority_contact_time(replace(OWN, can_vote=False), [hearing("b", 0.1), hearing("c", 0.1)]) == NEVER


def test_a_single_master_has_nobody_to_vouch_for_it() -> None:
    assert majority_contact_time(replace(OWN, master_count=1), []) == NEVER
