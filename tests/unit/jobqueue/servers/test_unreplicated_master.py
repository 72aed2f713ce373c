"""When a master without replicas is trusted."""

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
NODE_TIMEOUT_SECONDS = 2.0
DELAY_SECONDS = trust_delay_seconds(NODE_TIMEOUT_SECONDS)


def unreplicated_master() -> UnreplicatedMaster:
    master = UnreplicatedMaster()
    master.trust_delay_seconds = DELAY_SECONDS
    return master


def remaining_at(
    master: UnreplicatedMaster, at: float, state: ReplicationState = ALONE, *, reply_seconds: float = 0.0
) -> float:
    """Observe `state` at a time; return how long the master must go on in it."""
    return master.remaining_seconds(state, asked_at=at, answered_at=at + reply_seconds)


def test_the_delay_is_longer_than_a_partitioned_master_takes_writes() -> None:
    assert trust_delay_seconds(NODE_TIMEOUT_SECONDS) == 1.5 * NODE_TIMEOUT_SECONDS + 0.5


def test_it_is_trusted_after_the_delay_and_from_then_on() -> None:
    master = unreplicated_master()
    assert [remaining_at(master, at) for at in (100.0, 102.0, 103.4)] == pytest.approx(
        [DELAY_SECONDS, DELAY_SECONDS - 2.0, DELAY_SECONDS - 3.4]
    )
    assert not master.is_trusted
    assert remaining_at(master, 100.0 + DELAY_SECONDS) == 0
    assert master.is_trusted
    assert remaining_at(master, 1000.0) == 0


def test_the_time_between_question_and_reply_does_not_count() -> None:
    """The delay runs from the first reply to the last question."""
    master = unreplicated_master()
    remaining_at(master, 100.0, reply_seconds=1.0)
    assert remaining_at(master, 104.0) == pytest.approx(101.0 + DELAY_SECONDS - 104.0)
    assert remaining_at(master, 104.4, reply_seconds=5.0) > 0


@pytest.mark.parametrize("change", [{"run_id": "q"}, {"replication_id": "i"}, {"departed_replicas": 4}])
def test_any_change_restarts_the_delay(change: dict[str, object]) -> None:
    """A replica that came and went unobserved may have writes that no other server has."""
    master = unreplicated_master()
    remaining_at(master, 100.0)
    assert remaining_at(master, 110.0) == 0
    assert remaining_at(master, 111.0, replace(ALONE, **change)) == DELAY_SECONDS  # type: ignore[arg-type]  # the table's values fit
    assert not master.is_trusted


def test_a_reset_restarts_the_delay() -> None:
    master = unreplicated_master()
    remaining_at(master, 100.0)
    remaining_at(master, 110.0)
    master.reset()
    assert not master.is_trusted
    assert remaining_at(master, 110.0) == DELAY_SECONDS


def test_contact_with_a_majority_since_it_is_alone_is_enough() -> None:
    master = unreplicated_master()
    remaining_at(master, 100.0)
    assert not master.confirm(100.0 + MAX_UNREAD_SECONDS)
    assert not master.is_trusted
    assert master.confirm(100.1 + MAX_UNREAD_SECONDS)
    assert remaining_at(master, 101.0) == 0
    assert remaining_at(master, 101.0, replace(ALONE, departed_replicas=4)) == DELAY_SECONDS
    assert not master.confirm(101.0)


def test_contact_does_not_count_before_it_was_seen_alone() -> None:
    master = unreplicated_master()
    assert not master.confirm(1e9)
    remaining_at(master, 100.0)
    master.reset()
    assert not master.confirm(1e9)


def test_it_is_not_trusted_before_the_delay_is_known() -> None:
    master = UnreplicatedMaster()
    remaining_at(master, 0.0)
    assert remaining_at(master, 1e9) > 0


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
def test_linked_and_departed_replicas_are_counted(fields: dict[str, str], linked: int, departed_replicas: int) -> None:
    """In a cluster, a replica that still receives its first copy counts: it may replace the master once it has it."""
    state = ReplicationState.parse({"role": "master", "redis_mode": "cluster", **fields})
    assert (state.linked_replicas, state.departed_replicas) == (linked, departed_replicas)


@pytest.mark.parametrize(
    ("fields", "master", "clustered"),
    [
        ({"role": "master", "server_mode": "cluster"}, True, True),
        ({"role": "slave", "redis_mode": "cluster"}, False, True),
        ({"role": "master", "redis_mode": "standalone"}, True, False),
    ],
)
def test_role_and_cluster_mode_are_parsed(fields: dict[str, str], master: bool, clustered: bool) -> None:
    state = ReplicationState.parse(fields)
    assert (state.is_master, state.in_cluster) == (master, clustered)
