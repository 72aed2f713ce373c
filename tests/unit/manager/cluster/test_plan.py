"""What is done to a cluster in each situation, and what is not."""

from collections.abc import Mapping, Sequence

import pytest

from manager.cluster.cluster_view import slot_owner
from manager.cluster.plan import ClusterCommand, plan, plan_hand_over
from manager.cluster.slot_ranges import Address
from tests.unit.manager.cluster.cluster_situations import (
    GROUPS,
    SHORT,
    A,
    B,
    Member,
    changed,
    empty,
    new,
    views,
    whole,
)

NAMES = {address: name for name, address in SHORT.items()}


def _told(steps: Sequence[ClusterCommand]) -> list[str]:
    """Each step in short: who does what, places by their names."""
    told = []
    for step in steps:
        _, verb, *rest = step.arguments
        if verb == "MEET":
            rest = [NAMES[Address(str(rest[0]), int(rest[1]))]]
        told.append(" ".join(map(str, (NAMES[step.member], verb, *rest))))
    return told


def _planned(members: Mapping[str, Member], also: Sequence[Member] = ()) -> list[str]:
    return _told(plan(views(members, also), GROUPS))


ALL = tuple(SHORT)
AWAY = {"answers": False, "failed": True}
# Host 1, the first manager's, is lost, and its master has been succeeded.
SUCCEEDED = changed(whole(), a={"slots": None, **AWAY}, b_=AWAY, a_={"master": "", "slots": A, "epoch": 4})
RETURNED = changed(SUCCEEDED, a=Member("a", master="a'"), b_=whole()["b'"])
MET = {name: Member(name, epoch=0, keys=0, ok=False, copied=False) for name in SHORT}

SITUATIONS: list[tuple[str, dict[str, Member], tuple[Member, ...], list[str]]] = [
    ("all is well", whole(), (), []),
    ("six empty servers", new(), (), ["a MEET a'", "a MEET b", "a MEET b'", "a MEET w", "a MEET w'"]),
    ("one of six is not there yet", changed(new(), w={"answers": False}), (), []),
    ("one of six has keys", changed(new(), b={"keys": 1}), (), []),
    (
        "they have met",
        MET,
        (),
        ["a ADDSLOTSRANGE 0 8191", "b ADDSLOTSRANGE 8192 16382", "w ADDSLOTSRANGE 16383 16383"],
    ),
    (
        "not all have met all",
        changed(MET, w={"knows": ("a", "b", "a'")}),
        (),
        [],
    ),
    (
        "whoever formed it ended half-way",
        changed(MET, a={"slots": A}, w={"slots": whole()["w"].slots}),
        (),
        ["b ADDSLOTSRANGE 8192 16382"],
    ),
    (
        "slots have been given out",
        changed(MET, **{name: {"slots": whole()[name].slots, "ok": True} for name in "abw"}),
        (),
        ["a' REPLICATE a", "b' REPLICATE b", "w' REPLICATE w"],
    ),
    (
        "and no majority stands yet",
        changed(MET, **{name: {"slots": whole()[name].slots} for name in "abw"}),
        (),
        [],
    ),
    ("a master is lost and not yet succeeded", changed(whole(), a=AWAY), (), []),
    ("a replica is lost", changed(whole(), a_=AWAY), (), []),
    ("a host is lost and its master succeeded", SUCCEEDED, (), []),
    ("it is back, not yet in step", changed(RETURNED, a={"copied": False}), (), []),
    ("it is back and in step", RETURNED, (), ["a FAILOVER"]),
    ("it is back but does not see the majority", changed(RETURNED, a={"ok": False}), (), []),
    (
        "both managers' masters are at the other's: one at a time",
        changed(RETURNED, b={"slots": None, "master": "b'"}, b_={"slots": B, "master": "", "epoch": 5}),
        (),
        ["a FAILOVER"],
    ),
    (
        "only the lost host's own members answer",
        changed(SUCCEEDED, a=Member("a", slots=A, ok=False), a_=AWAY, b=AWAY, w=AWAY, w_=AWAY, b_=whole()["b'"]),
        (),
        [],
    ),
    (
        "a minority answers and is content with itself",
        changed(RETURNED, b=AWAY, w=AWAY, w_=AWAY),
        (),
        [],
    ),
    (
        "an empty member stands where the lost one stood",
        changed(SUCCEEDED, a=empty("x")),
        (Member("a", failed=True),),
        ["a' MEET a"],
    ),
    (
        "it has been met",
        changed(SUCCEEDED, a=Member("x", epoch=0, keys=0, copied=False)),
        (Member("a", failed=True),),
        ["a REPLICATE a'"],
    ),
    (
        "it is a replica, and all are there: the lost one is forgotten by those that list it",
        changed(SUCCEEDED, a=Member("x", master="a'", copied=False), b_=whole()["b'"]),
        (Member("a", failed=True),),
        [f"{name} FORGET a" for name in ALL],
    ),
    (
        "the same, but one cannot be told",
        changed(SUCCEEDED, a=Member("x", master="a'", copied=False), b_=whole()["b'"], w_={"answers": False}),
        (Member("a", failed=True),),
        [],
    ),
    (
        "a lost one that is not known to be dead",
        changed(whole(), a_=Member("x", master="a")),
        (Member("a'", failed=False, master="a"),),
        [],
    ),
    (
        "an empty member at the place of a master that is not yet succeeded",
        changed(whole(), a=Member("x", epoch=0, keys=0, knows=ALL)),
        (Member("a", slots=A, failed=True),),
        [],
    ),
    (
        "both of a group are lost",
        changed(whole(), a=Member("x", epoch=0, keys=0), a_=Member("y", epoch=0, keys=0)),
        (Member("a", slots=A, failed=True), Member("a'", master="a", failed=True)),
        [],
    ),
    (
        "an empty witness",
        changed(whole(), w=empty("x"), w_={"slots": whole()["w"].slots, "master": "", "epoch": 9}),
        (Member("w", failed=True),),
        ["w' MEET w"],
    ),
    (
        "a member with another cluster's slots",
        changed(whole(), a_=Member("x", slots=A, epoch=99, knows=("p", "q"))),
        (Member("a'", master="a", failed=True), Member("p", knows=("x",)), Member("q", knows=("x",))),
        [],
    ),
    (
        "an empty member that knows another cluster",
        changed(whole(), a_=Member("x", keys=0, knows=("p",))),
        (Member("a'", master="a", failed=True), Member("p", knows=("x",))),
        [],
    ),
    (
        "an unknown member with keys",
        changed(whole(), a_=Member("x", keys=7, knows=())),
        (Member("a'", master="a", failed=True),),
        [],
    ),
    (
        "it is back and in step, and most masters do not see the majority",
        changed(RETURNED, b={"ok": False}, w={"ok": False}),
        (),
        [],
    ),
    (
        "a master that does not see the majority is not copied",
        changed(whole(), a={"ok": False}, a_=Member("x", epoch=0, keys=0)),
        (),
        [],
    ),
    (
        "what a member of another cluster claims does not count",
        changed(whole(), a_=Member("x", slots=B, epoch=99, knows=()), b_=Member("y", epoch=0, keys=0)),
        (),
        ["b' REPLICATE b"],
    ),
    (
        "a master that is back does not know yet that it was succeeded",
        changed(RETURNED, a=Member("a", slots=A, epoch=1)),
        (),
        [],
    ),
    (
        "somebody still copies one that is gone",
        changed(whole(), a_={"master": "old"}),
        (Member("old", failed=True),),
        [],
    ),
    ("a replica of the wrong master", changed(whole(), a_={"master": "b"}), (), ["a' REPLICATE a"]),
    (
        "a replica of the wrong master, which is away",
        changed(whole(), a_={"master": "b"}, b=AWAY),
        (),
        [],
    ),
    (
        "a master without slots but with keys",
        changed(whole(), a_={"master": ""}),
        (),
        [],
    ),
]


@pytest.mark.parametrize(
    ("members", "also", "wanted"), [row[1:] for row in SITUATIONS], ids=[row[0] for row in SITUATIONS]
)
def test_what_is_done(members: dict[str, Member], also: tuple[Member, ...], wanted: list[str]) -> None:
    assert sorted(_planned(members, also)) == sorted(wanted)


def test_members_that_moved_while_all_were_away_are_introduced_even_without_a_majority() -> None:
    old = {name: Address("10.9.9.9", number) for number, name in enumerate(SHORT, 1)}
    moved = {name: Member(**{**_fields(member), "address": old[name], "ok": False}) for name, member in whole().items()}
    steps = _planned(moved)
    assert len(steps) == 30
    assert all(" MEET " in step for step in steps)


def _fields(member: Member) -> dict[str, object]:
    return {name: getattr(member, name) for name in Member.__dataclass_fields__}


@pytest.mark.parametrize(
    ("members", "leaving", "wanted"),
    [
        (whole(), "a", ["a' FAILOVER"]),
        (whole(), "a'", []),
        (whole(), "b a' w'", ["b' FAILOVER"]),
        (whole(), "b b'", []),
        (changed(whole(), a_={"copied": False}), "a", []),
        (changed(whole(), a_=AWAY), "a", []),
        (SUCCEEDED, "b a' w'", []),
        (RETURNED, "b a' w'", ["a FAILOVER", "b' FAILOVER"]),
    ],
)
def test_who_is_about_to_leave_hands_its_slots_over(
    members: dict[str, Member], leaving: str, wanted: list[str]
) -> None:
    steps = plan_hand_over(views(members), GROUPS, {SHORT[name] for name in leaving.split()})
    assert _told(steps) == wanted


def test_the_latest_claim_to_slots_counts() -> None:
    entry = slot_owner(views(changed(RETURNED, a=Member("a", slots=A, epoch=1))), A)
    assert entry is not None
    assert entry.id == "a'"


def test_a_meeting_names_the_port_of_the_members_own_bus() -> None:
    step = plan(views(new()), GROUPS)[0]
    assert step.arguments == ("CLUSTER", "MEET", "10.0.0.2", 2, 10_000)


def test_two_managers_plan_the_same() -> None:
    for _, members, also, _ in SITUATIONS:
        seen = views(members, also)
        assert set(plan(seen, GROUPS)) == set(plan(dict(reversed(seen.items())), GROUPS))
