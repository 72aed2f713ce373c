"""What operators are told of a cluster."""

from collections.abc import Mapping, Sequence

import pytest

from manager.cluster.state import ClusterState, assess
from tests.unit.manager.cluster.situations import GROUPS, A, Member, changed, empty, new, views, whole

AWAY = {"answers": False, "failed": True}


def _state(members: Mapping[str, Member], also: Sequence[Member] = ()) -> ClusterState:
    return assess(views(members, also), GROUPS)


def test_a_whole_one() -> None:
    assert _state(whole()) == ClusterState(6, 0, 0, 0, 0, ())
    assert _state(whole()).whole


def test_six_empty_servers() -> None:
    state = _state(new())
    assert (state.masters_away, state.needs_a_person, state.whole) == (3, (), False)


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
    assert not state.whole


@pytest.mark.parametrize(
    ("members", "also", "told"),
    [
        (changed(new(), b={"keys": 3}), (), "10.0.0.2:1 is to serve slots 8192-16382 but holds other data"),
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
    (trouble,) = _state(members, also).needs_a_person
    assert trouble.startswith(told)


def test_an_empty_member_needs_nobody() -> None:
    assert _state(changed(whole(), a_=empty("x")), (Member("a'", master="a", failed=True),)).needs_a_person == ()
