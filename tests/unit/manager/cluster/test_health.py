"""What operators are told of a cluster."""

import math
from collections.abc import Mapping, Sequence

import pytest

from manager.cluster.health import ClusterState, assess
from manager.cluster.operator_problems import FAILOVER_ELIGIBLE_SECONDS
from tests.unit.manager.cluster.cluster_situations import GROUPS, A, Member, changed, empty, new, views, whole
from workmanager.store_settings import CLUSTER_SETTINGS, REDIS_SETTINGS

AWAY = {"answers": False, "failed": True}
NEVER_LINKED = {"copied": False, "unlinked_seconds": math.inf}
LONG_UNLINKED = {"copied": False, "unlinked_seconds": FAILOVER_ELIGIBLE_SECONDS + 1}


def _state(members: Mapping[str, Member], also: Sequence[Member] = ()) -> ClusterState:
    return assess(views(members, also), GROUPS)


def test_a_whole_one() -> None:
    assert _state(whole()) == ClusterState(6, 0, 0, 0, 0, ())
    assert _state(whole()).is_healthy


def test_six_empty_servers() -> None:
    state = _state(new())
    assert (state.masters_down, state.requires_operator, state.is_healthy) == (3, (), False)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"a_": AWAY}, ClusterState(6, 1, 0, 1, 0, ())),
        ({"a": AWAY}, ClusterState(6, 1, 1, 0, 0, ())),
        ({"a_": {"copied": False}}, ClusterState(6, 0, 0, 1, 0, ())),
        ({"a": {"ok": False}}, ClusterState(6, 0, 1, 0, 0, ())),
        (
            {"a": {"slots": None, "master": "a'"}, "a_": {"master": "", "slots": A, "epoch": 4}},
            ClusterState(6, 0, 0, 0, 1, ()),
        ),
    ],
    ids=["a replica away", "a master away", "a copy behind", "a master in a minority", "a master away from home"],
)
def test_what_is_missing_is_counted(changes: dict[str, object], wanted: ClusterState) -> None:
    state = _state(changed(whole(), **changes))
    assert state == wanted
    assert not state.is_healthy


@pytest.mark.parametrize(
    ("members", "also", "told"),
    [
        (changed(new(), b={"keys": 3}), (), "10.0.0.2:1 must serve slots 8192-16382 but holds other data"),
        (
            changed(whole(), a_=Member("x", keys=7, knows=())),
            (Member("a'", master="a", failed=True),),
            "10.0.0.2:2 holds data of another cluster",
        ),
        (
            changed(whole(), a=Member("x", epoch=0, keys=0), a_=Member("y", epoch=0, keys=0)),
            (Member("a", slots=A, failed=True),),
            "slots 0-8191 are lost with both members that had them",
        ),
    ],
)
def test_what_no_step_puts_right_is_told(members: dict[str, Member], also: tuple[Member, ...], told: str) -> None:
    (trouble,) = _state(members, also).requires_operator
    assert trouble.startswith(told)


def test_an_empty_member_needs_nobody() -> None:
    assert _state(changed(whole(), a_=empty("x")), (Member("a'", master="a", failed=True),)).requires_operator == ()


@pytest.mark.parametrize(
    ("changes", "why"),
    [(NEVER_LINKED, "since its own start"), (LONG_UNLINKED, "for too long")],
    ids=["never linked", "unlinked for long"],
)
def test_a_replica_that_may_not_succeed_its_master_needs_a_person(changes: dict[str, object], why: str) -> None:
    state = _state(changed(whole(), a=AWAY, a_={**changes, "keys": 7}))
    assert state.requires_operator == (
        f"slots 0-8191 wait for 10.0.0.1:1: its replica at 10.0.0.2:2 has had no link to it {why}, so Redis does "
        "not let it take over. Start 10.0.0.1:1 with its data. Only if they are lost, and before an empty server "
        "starts there, send CLUSTER FAILOVER FORCE to 10.0.0.2:2: it then serves the 7 keys that it has",
    )


def test_the_one_that_is_waited_for_may_be_away_from_home() -> None:
    strayed = {"slots": A, "master": "", "epoch": 4, **AWAY}
    (trouble,) = _state(
        changed(whole(), a={"slots": None, "master": "a'", **NEVER_LINKED}, a_=strayed)
    ).requires_operator
    assert trouble.startswith("slots 0-8191 wait for 10.0.0.2:2: its replica at 10.0.0.1:1 ")


@pytest.mark.parametrize(
    "changes",
    [
        {"a": AWAY, "a_": {"copied": False, "unlinked_seconds": FAILOVER_ELIGIBLE_SECONDS}},
        {"a": {"answers": False}, "a_": NEVER_LINKED},
        {"a_": NEVER_LINKED},
        {"a": {"failed": True}, "a_": LONG_UNLINKED},
        {"a": AWAY, "b": AWAY, "a_": {**NEVER_LINKED, "ok": False}},
    ],
    ids=[
        "a failover that is under way",
        "a master that is not found dead yet",
        "a replica that has just been started",
        "a master that is back, and not yet found alive",
        "a replica that would not get the votes",
    ],
)
def test_who_succeeds_or_is_back_without_a_person_is_not_told(changes: dict[str, object]) -> None:
    assert _state(changed(whole(), **changes)).requires_operator == ()


def test_how_long_unlinked_replicas_may_succeed_follows_from_the_servers_settings() -> None:
    node_timeout_seconds = int(CLUSTER_SETTINGS["cluster-node-timeout"]) / 1000
    assert "cluster-replica-validity-factor" not in CLUSTER_SETTINGS
    assert (
        node_timeout_seconds * (1 + 10) + int(REDIS_SETTINGS["repl-ping-replica-period"]) == FAILOVER_ELIGIBLE_SECONDS
    )
