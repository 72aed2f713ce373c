"""Clusters as their members describe them, written down in short."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from manager.cluster.member_views import MemberView, NodeEntry
from manager.cluster.slot_ranges import Address, SlotRange, parse_hosts

HOSTS = ("10.0.0.1:1+2", "10.0.0.2:1+2+3", "10.0.0.3:1")
GROUPS = parse_hosts(HOSTS)
A, B, W = GROUPS
SHORT = {
    "a": A.preferred_master,
    "b'": B.replica,
    "b": B.preferred_master,
    "a'": A.replica,
    "w'": W.replica,
    "w": W.preferred_master,
}
"""Each member's place by the name that the tables use."""


@dataclass(frozen=True)
class Member:
    """One member: its id is its name unless told otherwise."""

    id: str
    slots: SlotRange | None = None
    master: str = ""
    epoch: int = 1
    keys: int = 10
    ok: bool = True
    copied: bool = True
    failed: bool = False
    unlinked_seconds: float = 0.0
    answers: bool = True
    address: Address | None = None
    knows: tuple[str, ...] | None = None
    """Ids; None: all."""


def whole() -> dict[str, Member]:
    """Everything in its place."""
    return {
        "a": Member("a", slots=A),
        "b'": Member("b'", master="b"),
        "b": Member("b", slots=B, epoch=2),
        "a'": Member("a'", master="a"),
        "w'": Member("w'", master="w", keys=0),
        "w": Member("w", slots=W, epoch=3, keys=0),
    }


def new() -> dict[str, Member]:
    """Six servers that have just been started for the first time."""
    return {name: empty(name) for name in SHORT}


def empty(member_id: str) -> Member:
    """A server that knows nobody and holds nothing."""
    return Member(member_id, epoch=0, keys=0, ok=False, copied=False, knows=())


def changed(members: Mapping[str, Member], **changes: object) -> dict[str, Member]:
    """`a_=…` changes a', `a=…` changes a; a dict replaces fields, a Member the whole."""
    result = dict(members)
    for name, change in changes.items():
        place = name.replace("_", "'")
        result[place] = change if isinstance(change, Member) else replace(result[place], **change)  # type: ignore[arg-type]
    return result


def views(members: Mapping[str, Member], also: Sequence[Member] = ()) -> dict[Address, MemberView]:
    """What those say that answer. `also`: members that are no more, but that others still list."""
    listed = [(SHORT[name], member) for name, member in members.items()] + [(None, member) for member in also]
    found = {}
    for name, member in members.items():
        if not member.answers:
            continue
        known = [
            (place, other)
            for place, other in listed
            if other.id == member.id or member.knows is None or other.id in member.knows
        ]
        # Who was started a moment ago is known only to those who have met it.
        known = [
            (place, other) for place, other in known if other.knows is None or member.id in (*other.knows, other.id)
        ]
        entries = {other.id: _entry(place, other) for place, other in known}
        linked = sum(other.master == member.id and other.copied and other.answers for other in members.values())
        found[SHORT[name]] = MemberView(
            member.id,
            entries,
            member.ok,
            member.keys,
            in_sync=bool(member.master) and member.copied,
            synced_replicas=linked,
            unlinked_seconds=member.unlinked_seconds,
        )
    return found


def _entry(place: Address | None, member: Member) -> NodeEntry:
    slots = ((member.slots.first_slot, member.slots.last_slot),) if member.slots else ()
    address = member.address or place
    return NodeEntry(member.id, address, 10_000, member.master, member.failed, True, member.epoch, slots)
