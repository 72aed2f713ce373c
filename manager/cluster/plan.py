"""What is to be done to a cluster, decided from what its members say. Pure."""

import itertools
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from manager.cluster.member_views import MemberView, NodeEntry
from manager.cluster.slot_ranges import Address, SlotRange

Views = Mapping[Address, MemberView]
"""What the members say that answered, by where they belong."""


@dataclass(frozen=True, slots=True)
class ClusterCommand:
    """One command to one member. Doing it twice, or by two managers at once, does no harm.

    Attributes:
        reason: for the log.
    """

    member: Address
    arguments: tuple[str | int, ...]
    reason: str


def plan(views: Views, slot_ranges: Sequence[SlotRange]) -> list[ClusterCommand]:
    """The next steps; the others follow from what the members say after these.

    Nothing but introductions is done on the word of a minority, no slot is given away that somebody has claimed, and
    no member that has slots or keys is made to forget them: where only that would help, nothing is done (see `assess`).
    """
    steps = [*_introductions(views), *_first_slots(views, slot_ranges)]
    if not steps and _has_majority(views, slot_ranges):
        steps = [*_joins(views, slot_ranges), *list(_failbacks(views, slot_ranges))[:1]]
        steps = steps or list(_removals(views, slot_ranges))
    return steps


def plan_hand_over(views: Views, slot_ranges: Sequence[SlotRange], leaving: Container[Address]) -> list[ClusterCommand]:
    """What makes masters of those that are about to leave replicas, so that nobody has to find out that they left."""
    steps = []
    for group in slot_ranges:
        entry = slot_owner(views, group)
        found = locate(views, entry)
        if entry is None or found is None or found[0] not in leaving:
            continue
        for address in group.members:
            view = views.get(address)
            if (
                address not in leaving
                and view
                and view.sees_majority
                and view.in_sync
                and view.own_entry.master_id == entry.id
            ):
                steps.append(ClusterCommand(address, ("CLUSTER", "FAILOVER"), f"{found[0]} is about to leave"))
    return steps


def slot_owner(views: Views, slot_range: SlotRange) -> NodeEntry | None:
    """Who serves a group's slots: the latest claim that the cluster knows of; None where nobody ever claimed them."""
    # A member of another cluster, or one restored from an old disk, is not listened to.
    circles = [[view for view in views.values() if view.knows(one) and one.knows(view)] for one in views.values()]
    heard = max(circles, key=len, default=[])
    claims = [entry for view in heard for entry in view.entries.values() if entry.owns(slot_range.first_slot)]
    return max(claims, key=lambda entry: entry.epoch, default=None)


def locate(views: Views, member: NodeEntry | None) -> tuple[Address, MemberView] | None:
    """Where a member answers, and what."""
    return next(((address, view) for address, view in views.items() if member and view.id == member.id), None)


def is_foreign(view: MemberView, others: MemberView) -> bool:
    """Whether a member belongs to another cluster than `others`, or did: to introduce it would mix the two."""
    known = {entry.id for entry in view.entries.values() if entry.handshake_done} - {view.id}
    return not (view.is_empty and known <= others.entries.keys())


def _introductions(views: Views) -> Iterator[ClusterCommand]:
    """Members that moved while all were away know each other by ids, but not where to find them."""
    for (place, view), (other_place, other) in itertools.permutations(views.items(), 2):
        entry = view.entries.get(other.id)
        if entry is not None and entry.handshake_done and entry.address != other_place:
            yield _meet(place, other_place, other, f"it knows this member at {entry.address}")


def _first_slots(views: Views, groups: Sequence[SlotRange]) -> Iterator[ClusterCommand]:
    """A cluster is formed where all members are there, and none has ever heard of an owner of a group's slots."""
    members = [address for group in groups for address in group.members]
    if not all(address in views for address in members):
        return
    unclaimed = [group for group in groups if slot_owner(views, group) is None]
    if not all(views[address].is_empty for group in unclaimed for address in group.members):
        return
    first, *others = members
    unknown = [address for address in others if not views[first].knows(views[address])]
    for address in unknown if unclaimed else ():
        if not is_foreign(views[address], views[first]):
            yield _meet(first, address, views[address], "a new cluster")
    for group in unclaimed if _all_know_all(views) else ():
        slots = ("CLUSTER", "ADDSLOTSRANGE", group.first_slot, group.last_slot)
        yield ClusterCommand(group.preferred_master, slots, "a new cluster: nobody has these slots")


def _has_majority(views: Views, groups: Sequence[SlotRange]) -> bool:
    """Whether most masters answer here, and by their own word see most masters."""
    found = [(group, locate(views, slot_owner(views, group))) for group in groups]
    serving = [
        group
        for group, at in found
        if at is not None and at[1].sees_majority and at[1].own_entry.owns(group.first_slot)
    ]
    return len(serving) * 2 > len(groups)


def _joins(views: Views, groups: Sequence[SlotRange]) -> Iterator[ClusterCommand]:
    """Every member without slots becomes the replica of its group's master, which must be there to be copied."""
    for group in groups:
        found = locate(views, slot_owner(views, group))
        if found is None or not found[1].sees_majority:
            continue
        master_place, master = found
        for address in group.members:
            view = views.get(address)
            if view is None or view.id == master.id:
                continue
            if not (view.knows(master) and master.knows(view)):
                if not is_foreign(view, master):
                    yield _meet(master_place, address, view, "a member that is new or replaces a lost one")
            elif view.own_entry.master_id != master.id and (view.is_empty or _is_spare(views, view)):
                yield ClusterCommand(
                    address, ("CLUSTER", "REPLICATE", master.id), f"{master_place} is the master of its slots"
                )


def _failbacks(views: Views, groups: Sequence[SlotRange]) -> Iterator[ClusterCommand]:
    """A host that is back serves its own slots again, lest the other one, holding two masters of three, be missed."""
    for group in groups:
        home, entry = views.get(group.preferred_master), slot_owner(views, group)
        found = locate(views, entry)
        if home is None or entry is None or found is None or home.id == entry.id:
            continue
        if home.sees_majority and home.in_sync and home.own_entry.master_id == entry.id:
            yield ClusterCommand(
                group.preferred_master, ("CLUSTER", "FAILOVER"), f"it is back and in step with {found[0]}"
            )


def _removals(views: Views, groups: Sequence[SlotRange]) -> Iterator[ClusterCommand]:
    """Ids that were replaced are forgotten, by all members at once: one that is left would tell the others again."""
    if not all(address in views for group in groups for address in group.members):
        return
    if not (_all_know_all(views) and all(locate(views, slot_owner(views, group)) for group in groups)):
        return
    entries = [entry for view in views.values() for entry in view.entries.values()]
    alive = {view.id for view in views.values()} | {entry.id for entry in entries if not entry.failed}
    needed = {entry.id for entry in entries if entry.slots} | {view.own_entry.master_id for view in views.values()}
    gone = {entry.id for entry in entries if entry.handshake_done} - alive - needed
    for address, view in views.items():
        for lost in sorted(gone & view.entries.keys()):
            yield ClusterCommand(address, ("CLUSTER", "FORGET", lost), "it has been replaced")


def _all_know_all(views: Views) -> bool:
    return all(one.knows(other) for one, other in itertools.permutations(views.values(), 2))


def _is_spare(views: Views, view: MemberView) -> bool:
    """Whether what a replica copies can be had elsewhere: its master is there."""
    return any(other.id == view.own_entry.master_id and other.sees_majority for other in views.values())


def _meet(place: Address, other_place: Address, other: MemberView, reason: str) -> ClusterCommand:
    return ClusterCommand(place, ("CLUSTER", "MEET", *other_place, other.own_entry.bus_port), reason)
