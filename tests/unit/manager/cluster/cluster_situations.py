"""Compact descriptions of clusters, and the views that their members would report.

Members are named by slot range and role: `a` and `b` are the two managers' preferred masters, `w` is the witness, and
`a'`, `b'`, `w'` are their replicas. `a` and `b'` run on host 1, `b`, `a'` and `w'` on host 2, `w` on host 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from manager.cluster.member_views import MemberView, NodeEntry
from manager.cluster.slot_ranges import Address, SlotRange, parse_hosts

HOSTS = ("10.0.0.1:1+2", "10.0.0.2:1+2+3", "10.0.0.3:1")
SLOT_RANGES = parse_hosts(HOSTS)
BUS_PORT = 10_000
A, B, W = SLOT_RANGES
ADDRESSES = {
    "a": A.preferred_master,
    "b'": B.replica,
    "b": B.preferred_master,
    "a'": A.replica,
    "w'": W.replica,
    "w": W.preferred_master,
}
"""Each member's address by its name."""


@dataclass(frozen=True)
class Member:
    """One member. Its id is its name unless it replaces another one."""

    id: str
    slots: SlotRange | None = None
    master: str = ""
    epoch: int = 1
    keys: int = 10
    sees_majority: bool = True
    in_sync: bool = True
    failed: bool = False
    unlinked_seconds: float = 0.0
    answers: bool = True
    address: Address | None = None
    has_sound_file: bool = True
    moved_slots: tuple[tuple[int, int], ...] | None = None
    """The ranges that it owns, if they are not the configured ones."""
    knows: tuple[str, ...] | None = None
    """Ids of the members it knows; None: all."""


def healthy_cluster() -> dict[str, Member]:
    """Return a cluster in its configured state."""
    return {
        "a": Member("a", slots=A),
        "b'": Member("b'", master="b"),
        "b": Member("b", slots=B, epoch=2),
        "a'": Member("a'", master="a"),
        "w'": Member("w'", master="w", keys=0),
        "w": Member("w", slots=W, epoch=3, keys=0),
    }


def new_servers() -> dict[str, Member]:
    """Return six servers that were started for the first time."""
    return {name: empty_member(name) for name in ADDRESSES}


def empty_member(member_id: str) -> Member:
    """Return a server that knows no other and holds no data."""
    return Member(member_id, epoch=0, keys=0, sees_majority=False, in_sync=False, knows=())


def with_changes(members: Mapping[str, Member], **changes: object) -> dict[str, Member]:
    """Return the members with changes: `a=…` for `a`, `a_=…` for `a'`. A dict replaces fields, a Member all of it."""
    result = dict(members)
    for name, change in changes.items():
        place = name.replace("_", "'")
        result[place] = change if isinstance(change, Member) else replace(result[place], **change)  # type: ignore[arg-type]
    return result


def views_of(members: Mapping[str, Member], former: Sequence[Member] = ()) -> dict[Address, MemberView]:
    """Return the views of the members that answer. `former`: members that no longer exist but are still listed."""
    listed = [(ADDRESSES[name], member) for name, member in members.items()] + [(None, member) for member in former]
    found = {}
    for name, member in members.items():
        if not member.answers:
            continue
        known = [
            (address, other)
            for address, other in listed
            if other.id == member.id or member.knows is None or other.id in member.knows
        ]
        # A new server is known only to the members that it has met.
        known = [
            (address, other) for address, other in known if other.knows is None or member.id in (*other.knows, other.id)
        ]
        entries = {other.id: _entry(address, other) for address, other in known}
        linked = sum(other.master == member.id and other.in_sync and other.answers for other in members.values())
        found[ADDRESSES[name]] = MemberView(
            id=member.id,
            entries=entries,
            sees_majority=member.sees_majority,
            keys=member.keys,
            in_sync=bool(member.master) and member.in_sync,
            synced_replicas=linked,
            unlinked_seconds=member.unlinked_seconds,
            has_sound_file=member.has_sound_file,
        )
    return found


def _entry(listed_address: Address | None, member: Member) -> NodeEntry:
    slots = ((member.slots.first_slot, member.slots.last_slot),) if member.slots else ()
    slots = slots if member.moved_slots is None else member.moved_slots
    return NodeEntry(
        id=member.id,
        address=member.address or listed_address,
        bus_port=BUS_PORT,
        master_id=member.master,
        failed=member.failed,
        handshake_done=True,
        epoch=member.epoch,
        slots=slots,
    )
