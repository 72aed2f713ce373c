"""What operators see of a cluster: counts of what is missing, and problems that they must solve."""

import math
from collections.abc import Mapping, Sequence

import pytest

from manager.cluster.health import ClusterState, assess
from manager.cluster.operator_problems import FAILOVER_ELIGIBLE_SECONDS
from tests.unit.manager.cluster.cluster_situations import (
    SLOT_RANGES,
    A,
    Member,
    empty_member,
    healthy_cluster,
    new_servers,
    views_of,
    with_changes,
)
from workmanager.store_settings import CLUSTER_SETTINGS, REDIS_SETTINGS

DOWN = {"answers": False, "failed": True}
NEVER_LINKED = {"in_sync": False, "unlinked_seconds": math.inf}
UNLINKED_TOO_LONG = {"in_sync": False, "unlinked_seconds": FAILOVER_ELIGIBLE_SECONDS + 1}
HEALTHY = healthy_cluster()
LOST_A_REPLICA = Member("a'", master="a", failed=True)
MEMBERS = 6
COUNTS = ("members_down", "masters_down", "replicas_missing", "masters_off_preferred_host", "files_unsound")


def state_with(**missing: int) -> ClusterState:
    """Return a healthy state except for these counts."""
    counts = {name: missing.get(name, 0) for name in COUNTS}
    return ClusterState(members=MEMBERS, requires_operator=(), **counts)


def state_of(members: Mapping[str, Member], former: Sequence[Member] = ()) -> ClusterState:
    return assess(views_of(members, former), SLOT_RANGES)


def test_a_healthy_cluster() -> None:
    assert state_of(HEALTHY) == state_with()
    assert state_of(HEALTHY).is_healthy


def test_six_empty_servers() -> None:
    state = state_of(new_servers())
    assert (state.masters_down, state.requires_operator, state.is_healthy) == (3, (), False)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"a_": DOWN}, state_with(members_down=1, replicas_missing=1)),
        ({"a": DOWN}, state_with(members_down=1, masters_down=1)),
        ({"a_": {"in_sync": False}}, state_with(replicas_missing=1)),
        ({"a": {"sees_majority": False}}, state_with(masters_down=1)),
        (
            {"a": {"slots": None, "master": "a'"}, "a_": {"master": "", "slots": A, "epoch": 4}},
            state_with(masters_off_preferred_host=1),
        ),
        ({"w": {"has_sound_file": False}}, state_with(files_unsound=1)),
    ],
    ids=[
        "a replica is down",
        "a master is down",
        "a replica is not in sync",
        "a master is in a minority",
        "a master is off its preferred host",
        "a member may not start again from its file",
    ],
)
def test_what_is_missing_is_counted(changes: dict[str, object], wanted: ClusterState) -> None:
    state = state_of(with_changes(HEALTHY, **changes))
    assert state == wanted
    assert not state.is_healthy


@pytest.mark.parametrize(
    ("members", "former", "beginning"),
    [
        (with_changes(new_servers(), b={"keys": 3}), [], "10.0.0.2:1 must serve slots 8192-16382 but holds other data"),
        (
            with_changes(HEALTHY, a_=Member("x", keys=7, knows=())),
            [LOST_A_REPLICA],
            "10.0.0.2:2 holds data of another cluster",
        ),
        (
            with_changes(HEALTHY, a=Member("x", epoch=0, keys=0), a_=Member("y", epoch=0, keys=0)),
            [Member("a", slots=A, failed=True)],
            "slots 0-8191 are lost with both members that had them",
        ),
    ],
)
def test_what_no_command_can_solve_requires_an_operator(
    members: dict[str, Member], former: list[Member], beginning: str
) -> None:
    (problem,) = state_of(members, former).requires_operator
    assert problem.startswith(beginning)


def test_some_slots_of_a_master_that_a_person_has_moved_are_no_problem() -> None:
    moved = with_changes(
        HEALTHY, a={"moved_slots": ((100, 8191),)}, b={"moved_slots": ((0, 99), (8192, 16382)), "epoch": 5}
    )
    assert state_of(moved) == state_with()


def test_most_slots_of_a_range_with_a_member_of_another_one_are_told() -> None:
    moved = with_changes(HEALTHY, a={"moved_slots": ((8000, 8191),)}, b={"moved_slots": ((0, 7999),), "epoch": 5})
    problem = state_of(moved).requires_operator[0]
    assert problem.startswith("most of slots 0-8191 have been moved to 10.0.0.2:1: 10.0.0.1:1 and 10.0.0.2:2 are left")


def test_an_empty_member_requires_no_operator() -> None:
    state = state_of(with_changes(HEALTHY, a_=empty_member("x")), [LOST_A_REPLICA])
    assert state.requires_operator == ()


@pytest.mark.parametrize(
    ("changes", "unlinked"),
    [(NEVER_LINKED, "since it started"), (UNLINKED_TOO_LONG, "for too long")],
    ids=["never linked", "unlinked for too long"],
)
def test_a_replica_that_cannot_take_over_requires_an_operator(changes: dict[str, object], unlinked: str) -> None:
    state = state_of(with_changes(HEALTHY, a=DOWN, a_={**changes, "keys": 7}))
    assert state.requires_operator == (
        f"slots 0-8191 wait for 10.0.0.1:1: its replica at 10.0.0.2:2 has had no link to it {unlinked}, so Redis does "
        "not let it take over. Start 10.0.0.1:1 with its data. Only if that data is lost, and before an empty server "
        "starts there, send CLUSTER FAILOVER FORCE to 10.0.0.2:2: it then serves the 7 keys that it has",
    )


def test_the_awaited_master_can_be_off_its_preferred_host() -> None:
    promoted = {"slots": A, "master": "", "epoch": 4, **DOWN}
    former_master = {"slots": None, "master": "a'", **NEVER_LINKED}
    (problem,) = state_of(with_changes(HEALTHY, a=former_master, a_=promoted)).requires_operator
    assert problem.startswith("slots 0-8191 wait for 10.0.0.2:2: its replica at 10.0.0.1:1 ")


@pytest.mark.parametrize(
    "changes",
    [
        {"a": DOWN, "a_": {"in_sync": False, "unlinked_seconds": FAILOVER_ELIGIBLE_SECONDS}},
        {"a": {"answers": False}, "a_": NEVER_LINKED},
        {"a_": NEVER_LINKED},
        {"a": {"failed": True}, "a_": UNLINKED_TOO_LONG},
        {"a": DOWN, "b": DOWN, "a_": {**NEVER_LINKED, "sees_majority": False}},
    ],
    ids=[
        "a failover is under way",
        "the master is not found failed yet",
        "the replica has just been started",
        "the master is up again and still listed as failed",
        "the replica would not get the votes",
    ],
)
def test_what_recovers_by_itself_requires_no_operator(changes: dict[str, object]) -> None:
    assert state_of(with_changes(HEALTHY, **changes)).requires_operator == ()


def test_the_failover_limit_follows_from_the_redis_settings() -> None:
    node_timeout_seconds = int(CLUSTER_SETTINGS["cluster-node-timeout"]) / 1000
    ping_seconds = int(REDIS_SETTINGS["repl-ping-replica-period"])
    validity_factor = int(CLUSTER_SETTINGS["cluster-replica-validity-factor"])
    assert node_timeout_seconds * (1 + validity_factor) + ping_seconds == pytest.approx(FAILOVER_ELIGIBLE_SECONDS)
