"""The commands planned for a cluster in each situation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from manager.cluster.cluster_view import slot_owner
from manager.cluster.plan import ClusterCommand, plan, plan_hand_over
from manager.cluster.slot_ranges import Address
from tests.unit.manager.cluster.cluster_situations import (
    ADDRESSES,
    BUS_PORT,
    SLOT_RANGES,
    A,
    B,
    Member,
    W,
    empty_member,
    healthy_cluster,
    new_servers,
    views_of,
    with_changes,
)

NAMES = {address: name for name, address in ADDRESSES.items()}


def _describe(commands: Sequence[ClusterCommand]) -> list[str]:
    """Return `MEMBER VERB ARGUMENTS` for each command, with members by name."""
    described = []
    for command in commands:
        _, verb, *rest = command.arguments
        if verb == "MEET":
            rest = [NAMES[Address(str(rest[0]), int(rest[1]))]]
        described.append(" ".join(map(str, (NAMES[command.member], verb, *rest))))
    return described


def _planned(situation: "Situation") -> list[str]:
    return _describe(plan(views_of(situation.members, situation.former), SLOT_RANGES))


ALL = tuple(ADDRESSES)
DOWN = {"answers": False, "failed": True}
HEALTHY = healthy_cluster()
FAILED_OVER = with_changes(HEALTHY, a={"slots": None, **DOWN}, b_=DOWN, a_={"master": "", "slots": A, "epoch": 4})
"""Host 1 is down, and the replica of its master has taken over."""
RECOVERED = with_changes(FAILED_OVER, a=Member("a", master="a'"), b_=HEALTHY["b'"])
"""Host 1 is up again; its members are replicas, in sync."""
FIRST_SLOTS_MOVED = with_changes(
    HEALTHY, a={"moved_slots": ((100, 8191),)}, b={"moved_slots": ((0, 99), (8192, 16382)), "epoch": 5}
)
ALL_SLOTS_MOVED = with_changes(HEALTHY, a={"moved_slots": ()}, b={"moved_slots": ((0, 16382),), "epoch": 5})
MET = {name: Member(name, epoch=0, keys=0, sees_majority=False, in_sync=False) for name in ADDRESSES}
"""Six new servers that know each other."""
LOST_A = Member("a", failed=True)
LOST_A_REPLICA = Member("a'", master="a", failed=True)


@dataclass(frozen=True)
class Situation:
    """A cluster and the commands planned for it.

    Attributes:
        former: members that no longer exist but are still listed.
    """

    description: str
    members: Mapping[str, Member]
    commands: Sequence[str] = ()
    former: Sequence[Member] = ()


SITUATIONS = [
    Situation("all is well", HEALTHY),
    Situation(
        "six new servers",
        new_servers(),
        commands=["a MEET a'", "a MEET b", "a MEET b'", "a MEET w", "a MEET w'"],
    ),
    Situation("one of six new servers does not answer", with_changes(new_servers(), w={"answers": False})),
    Situation("one of six new servers has keys", with_changes(new_servers(), b={"keys": 1})),
    Situation(
        "new servers have met",
        MET,
        commands=["a ADDSLOTSRANGE 0 8191", "b ADDSLOTSRANGE 8192 16382", "w ADDSLOTSRANGE 16383 16383"],
    ),
    Situation("not all new servers have met", with_changes(MET, w={"knows": ("a", "b", "a'")})),
    Situation(
        "the manager that formed the cluster stopped half-way",
        with_changes(MET, a={"slots": A}, w={"slots": W}),
        commands=["b ADDSLOTSRANGE 8192 16382"],
    ),
    Situation(
        "all slots are assigned",
        with_changes(MET, **{name: {"slots": HEALTHY[name].slots, "sees_majority": True} for name in "abw"}),
        commands=["a' REPLICATE a", "b' REPLICATE b", "w' REPLICATE w"],
    ),
    Situation(
        "all slots are assigned, and there is no majority yet",
        with_changes(MET, **{name: {"slots": HEALTHY[name].slots} for name in "abw"}),
    ),
    Situation("a master is down and not failed over yet", with_changes(HEALTHY, a=DOWN)),
    Situation("a replica is down", with_changes(HEALTHY, a_=DOWN)),
    Situation("a host is down and its master failed over", FAILED_OVER),
    Situation("the host has recovered and is not in sync yet", with_changes(RECOVERED, a={"in_sync": False})),
    Situation("the host has recovered and is in sync", RECOVERED, commands=["a FAILOVER"]),
    Situation(
        "the host has recovered and may not start again from its file",
        with_changes(RECOVERED, a={"has_sound_file": False}),
    ),
    Situation(
        "the host has recovered and does not see the majority", with_changes(RECOVERED, a={"sees_majority": False})
    ),
    Situation("a person has moved the first slots of a master to another one", FIRST_SLOTS_MOVED),
    Situation("a person has moved all slots of a master to another one", ALL_SLOTS_MOVED),
    Situation(
        "the host of a master with moved slots has recovered",
        with_changes(
            RECOVERED,
            a_={"slots": None, "moved_slots": ((100, 8191),)},
            b={"slots": None, "moved_slots": ((0, 99), (8192, 16382)), "epoch": 5},
        ),
        commands=["a FAILOVER"],
    ),
    Situation(
        "both masters are on the other host: one is failed back at a time",
        with_changes(RECOVERED, b={"slots": None, "master": "b'"}, b_={"slots": B, "master": "", "epoch": 5}),
        commands=["a FAILOVER"],
    ),
    Situation(
        "only the members of the recovered host answer",
        with_changes(
            FAILED_OVER,
            a=Member("a", slots=A, sees_majority=False),
            a_=DOWN,
            b=DOWN,
            w=DOWN,
            w_=DOWN,
            b_=HEALTHY["b'"],
        ),
    ),
    Situation("a minority answers and takes itself for the majority", with_changes(RECOVERED, b=DOWN, w=DOWN, w_=DOWN)),
    Situation(
        "an empty member is at the address of a lost one",
        with_changes(FAILED_OVER, a=empty_member("x")),
        former=[LOST_A],
        commands=["a' MEET a"],
    ),
    Situation(
        "the empty member has been met",
        with_changes(FAILED_OVER, a=Member("x", epoch=0, keys=0, in_sync=False)),
        former=[LOST_A],
        commands=["a REPLICATE a'"],
    ),
    Situation(
        "it is a replica and all members answer: those that list the lost one forget it",
        with_changes(FAILED_OVER, a=Member("x", master="a'", in_sync=False), b_=HEALTHY["b'"]),
        former=[LOST_A],
        commands=[f"{name} FORGET a" for name in ALL],
    ),
    Situation(
        "it is a replica and one member does not answer",
        with_changes(FAILED_OVER, a=Member("x", master="a'", in_sync=False), b_=HEALTHY["b'"], w_={"answers": False}),
        former=[LOST_A],
    ),
    Situation(
        "a lost member is not known to have failed",
        with_changes(HEALTHY, a_=Member("x", master="a")),
        former=[Member("a'", failed=False, master="a")],
    ),
    Situation(
        "an empty member is at the address of a master that is not failed over yet",
        with_changes(HEALTHY, a=Member("x", epoch=0, keys=0, knows=ALL)),
        former=[Member("a", slots=A, failed=True)],
    ),
    Situation(
        "both members of a slot range are lost",
        with_changes(HEALTHY, a=Member("x", epoch=0, keys=0), a_=Member("y", epoch=0, keys=0)),
        former=[Member("a", slots=A, failed=True), LOST_A_REPLICA],
    ),
    Situation(
        "the witness is empty",
        with_changes(HEALTHY, w=empty_member("x"), w_={"slots": W, "master": "", "epoch": 9}),
        former=[Member("w", failed=True)],
        commands=["w' MEET w"],
    ),
    Situation(
        "a member has another cluster's slots",
        with_changes(HEALTHY, a_=Member("x", slots=A, epoch=99, knows=("p", "q"))),
        former=[LOST_A_REPLICA, Member("p", knows=("x",)), Member("q", knows=("x",))],
    ),
    Situation(
        "an empty member knows another cluster",
        with_changes(HEALTHY, a_=Member("x", keys=0, knows=("p",))),
        former=[LOST_A_REPLICA, Member("p", knows=("x",))],
    ),
    Situation(
        "an unknown member has keys", with_changes(HEALTHY, a_=Member("x", keys=7, knows=())), former=[LOST_A_REPLICA]
    ),
    Situation(
        "the host has recovered and most masters do not see the majority",
        with_changes(RECOVERED, b={"sees_majority": False}, w={"sees_majority": False}),
    ),
    Situation(
        "a master that does not see the majority is not replicated",
        with_changes(HEALTHY, a={"sees_majority": False}, a_=Member("x", epoch=0, keys=0)),
    ),
    Situation(
        "the claims of a member of another cluster do not count",
        with_changes(HEALTHY, a_=Member("x", slots=B, epoch=99, knows=()), b_=Member("y", epoch=0, keys=0)),
        commands=["b' REPLICATE b"],
    ),
    Situation(
        "a recovered master does not know yet that it was failed over",
        with_changes(RECOVERED, a=Member("a", slots=A, epoch=1)),
    ),
    Situation(
        "a member still replicates a lost one",
        with_changes(HEALTHY, a_={"master": "old"}),
        former=[Member("old", failed=True)],
    ),
    Situation(
        "a member replicates the wrong master", with_changes(HEALTHY, a_={"master": "b"}), commands=["a' REPLICATE a"]
    ),
    Situation("a member replicates the wrong master, which is down", with_changes(HEALTHY, a_={"master": "b"}, b=DOWN)),
    Situation("a master has keys and no slots", with_changes(HEALTHY, a_={"master": ""})),
]


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.description)
def test_planned_commands(situation: Situation) -> None:
    assert sorted(_planned(situation)) == sorted(situation.commands)


def test_members_with_new_addresses_are_introduced_even_without_a_majority() -> None:
    old = {name: Address("10.9.9.9", number) for number, name in enumerate(ADDRESSES, 1)}
    moved = {name: replace(member, address=old[name], sees_majority=False) for name, member in HEALTHY.items()}
    commands = _planned(Situation("all moved", moved))
    assert len(commands) == len(ADDRESSES) * (len(ADDRESSES) - 1)
    assert all(" MEET " in command for command in commands)


@pytest.mark.parametrize(
    ("members", "leaving", "wanted"),
    [
        (HEALTHY, "a", ["a' FAILOVER"]),
        (with_changes(HEALTHY, a_={"has_sound_file": False}), "a", ["a' FAILOVER"]),
        (HEALTHY, "a'", []),
        (HEALTHY, "b a' w'", ["b' FAILOVER"]),
        (HEALTHY, "b b'", []),
        (with_changes(HEALTHY, a_={"in_sync": False}), "a", []),
        (with_changes(HEALTHY, a_=DOWN), "a", []),
        (FAILED_OVER, "b a' w'", []),
        (RECOVERED, "b a' w'", ["a FAILOVER", "b' FAILOVER"]),
    ],
)
def test_a_member_about_to_stop_hands_its_slots_over(
    members: dict[str, Member], leaving: str, wanted: list[str]
) -> None:
    commands = plan_hand_over(views_of(members), SLOT_RANGES, {ADDRESSES[name] for name in leaving.split()})
    assert _describe(commands) == wanted


def test_the_latest_claim_to_slots_counts() -> None:
    entry = slot_owner(views_of(with_changes(RECOVERED, a=Member("a", slots=A, epoch=1))), A)
    assert entry is not None
    assert entry.id == "a'"


def test_an_introduction_names_the_port_of_the_cluster_bus() -> None:
    command = plan(views_of(new_servers()), SLOT_RANGES)[0]
    assert command.arguments == ("CLUSTER", "MEET", "10.0.0.2", 2, BUS_PORT)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.description)
def test_two_managers_plan_the_same(situation: Situation) -> None:
    views = views_of(situation.members, situation.former)
    assert set(plan(views, SLOT_RANGES)) == set(plan(dict(reversed(views.items())), SLOT_RANGES))
