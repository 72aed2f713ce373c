"""When a master without replicas is believed."""

from dataclasses import replace

import pytest

from jobqueue.servers.unreplicated_master import (
    MAX_UNREAD_SECONDS,
    ReplicationState,
    UnreplicatedMaster,
    trust_delay_seconds,
)

ALONE = ReplicationState(
    run_id="p", replication_id="h", is_master=True, in_cluster=True, linked_replicas=0, departed_replicas=3
)
REPLICA = "ip=10.0.0.2,port=6379,state={},offset=1,lag=0"


def lone_master() -> UnreplicatedMaster:
    master = UnreplicatedMaster()
    master.trust_delay_seconds = 3.5
    return master


def look(master: UnreplicatedMaster, at: float, standing: ReplicationState = ALONE, *, took: float = 0.0) -> float:
    return master.remaining_seconds(standing, asked_at=at, answered_at=at + took)


def test_the_hold_is_longer_than_a_cut_off_master_goes_on() -> None:
    assert trust_delay_seconds(2.0) == 3.5


def test_it_is_believed_once_it_was_alone_for_long_enough_and_from_then_on() -> None:
    master = lone_master()
    assert [look(master, at) for at in (100.0, 102.0, 103.4)] == pytest.approx([3.5, 1.5, 0.1])
    assert not master.is_trusted
    assert look(master, 103.5) == 0
    assert master.is_trusted
    assert look(master, 1000.0) == 0


def test_the_time_of_the_question_does_not_count() -> None:
    """From when it was said for the first time at the latest, to when it was asked the last time."""
    master = lone_master()
    look(master, 100.0, took=1.0)
    assert look(master, 104.0) == pytest.approx(0.5)
    assert look(master, 104.4, took=5.0) > 0


@pytest.mark.parametrize("change", [{"run_id": "q"}, {"replication_id": "i"}, {"departed_replicas": 4}])
def test_whatever_changes_begins_it_anew(change: dict[str, object]) -> None:
    """A replica that came and went while nobody looked may have what others do not."""
    master = lone_master()
    look(master, 100.0)
    assert look(master, 110.0) == 0
    assert look(master, 111.0, replace(ALONE, **change)) == 3.5  # type: ignore[arg-type]  # the table's values fit
    assert not master.is_trusted


def test_what_is_forgotten_begins_anew() -> None:
    master = lone_master()
    look(master, 100.0)
    look(master, 110.0)
    master.reset()
    assert not master.is_trusted
    assert look(master, 110.0) == 3.5


def test_a_majority_that_has_heard_from_it_since_it_is_alone_is_enough() -> None:
    master = lone_master()
    look(master, 100.0)
    assert not master.confirm(100.0 + MAX_UNREAD_SECONDS)
    assert not master.is_trusted
    assert master.confirm(100.1 + MAX_UNREAD_SECONDS)
    assert look(master, 101.0) == 0
    assert look(master, 101.0, replace(ALONE, departed_replicas=4)) == 3.5
    assert not master.confirm(101.0)


def test_nobody_is_upheld_before_it_was_seen_alone() -> None:
    master = lone_master()
    assert not master.confirm(1e9)
    look(master, 100.0)
    master.reset()
    assert not master.confirm(1e9)


def test_nothing_is_believed_before_the_hold_is_known() -> None:
    master = UnreplicatedMaster()
    look(master, 0.0)
    assert look(master, 1e9) > 0


@pytest.mark.parametrize(
    ("fields", "linked", "departed_replicas"),
    [
        ({"sync_full": "2", "sync_partial_ok": "1"}, 0, 3),
        ({"sync_full": "3", "slave0": REPLICA.format("online")}, 1, 2),
        ({"sync_full": "3", "slave0": REPLICA.format("wait_bgsave")}, 1, 2),
        ({"sync_full": "3", "slave0": REPLICA.format("wait_bgsave"), "redis_mode": "standalone"}, 0, 2),
        ({"sync_full": "3", "slave0": REPLICA.format("online"), "redis_mode": "standalone"}, 1, 2),
        ({"sync_full": "3", "slave_read_repl_offset": "7"}, 0, 3),
    ],
)
def test_replicas_are_counted_by_their_links(fields: dict[str, str], linked: int, departed_replicas: int) -> None:
    """In a cluster one that is still being copied to counts: with the copy it may succeed its master."""
    standing = ReplicationState.parse({"role": "master", "redis_mode": "cluster", **fields})
    assert (standing.linked_replicas, standing.departed_replicas) == (linked, departed_replicas)


@pytest.mark.parametrize(
    ("fields", "master", "clustered"),
    [
        ({"role": "master", "server_mode": "cluster"}, True, True),
        ({"role": "slave", "redis_mode": "cluster"}, False, True),
        ({"role": "master", "redis_mode": "standalone"}, True, False),
    ],
)
def test_its_part_is_read(fields: dict[str, str], master: bool, clustered: bool) -> None:
    standing = ReplicationState.parse(fields)
    assert (standing.is_master, standing.in_cluster) == (master, clustered)
