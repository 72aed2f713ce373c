"""Decide which cluster commands to send, from the views of the members. Pure functions."""

import itertools
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from manager.cluster.cluster_view import Views, is_foreign, located_owner, slot_owner
from manager.cluster.member_views import MemberView
from manager.cluster.slot_ranges import Address, SlotRange


@dataclass(frozen=True, slots=True)
class ClusterCommand:
    """A command to one member. Sending it twice, or from two managers at once, does no harm.

    Attributes:
        reason: for the log.
    """

    member: Address
    arguments: tuple[str | int, ...]
    reason: str

    @property
    def is_failover(self) -> bool:
        """Whether it makes the member a master."""
        return self.arguments[:2] == ("CLUSTER", "FAILOVER")


def plan(views: Views, slot_ranges: Sequence[SlotRange]) -> list[ClusterCommand]:
    """Return the next commands; later ones follow from the views after these.

    Without a majority, members are only introduced to each other. Slots that somebody has claimed are never given away,
    and slots that a person has moved to a member of another range stay there. A member with slots or keys is never
    reset. If only that would help, an operator must do it, see `health.assess`.
    """
    commands = [*_introductions(views), *_first_slots(views, slot_ranges)]
    if not commands and _has_majority(views, slot_ranges):
        commands = [*_joins(views, slot_ranges), *list(_failbacks(views, slot_ranges))[:1]]
        commands = commands or list(_removals(views, slot_ranges))
    return commands


def plan_hand_over(views: Views, slot_ranges: Sequence[SlotRange], leaving: Container[Address]) -> list[ClusterCommand]:
    """Return failovers that replace the masters among `leaving`, so that no failure detection is needed for them."""
    commands = []
    for slot_range in slot_ranges:
        owner = located_owner(views, slot_range)
        if owner is None or owner.address not in leaving:
            continue
        for address in slot_range.members:
            view = views.get(address)
            if address not in leaving and view and _can_take_over(view, owner.view):
                commands.append(ClusterCommand(address, ("CLUSTER", "FAILOVER"), f"{owner.address} is about to stop"))
    return commands


def _can_take_over(view: MemberView, master: MemberView) -> bool:
    return view.sees_majority and view.in_sync and view.own_entry.master_id == master.id


def _introductions(views: Views) -> Iterator[ClusterCommand]:
    """Yield introductions of members that know each other by id but at old addresses: all moved while all were down."""
    for (address, view), (other_address, other) in itertools.permutations(views.items(), 2):
        entry = view.entries.get(other.id)
        if entry is not None and entry.handshake_done and entry.address != other_address:
            yield _meet(address, other_address, other, f"it knows this member at {entry.address}")


def _first_slots(views: Views, slot_ranges: Sequence[SlotRange]) -> Iterator[ClusterCommand]:
    """Yield the commands that form a cluster, if all members answer and none knows an owner of an unclaimed range."""
    members = [address for slot_range in slot_ranges for address in slot_range.members]
    if not all(address in views for address in members):
        return
    unclaimed = [slot_range for slot_range in slot_ranges if slot_owner(views, slot_range) is None]
    if not all(views[address].is_empty for slot_range in unclaimed for address in slot_range.members):
        return
    first, *others = members
    unknown = [address for address in others if not views[first].knows(views[address])]
    for address in unknown if unclaimed else ():
        if not is_foreign(views[address], views[first]):
            yield _meet(first, address, views[address], "new cluster")
    for slot_range in unclaimed if _all_know_all(views) else ():
        arguments = ("CLUSTER", "ADDSLOTSRANGE", slot_range.first_slot, slot_range.last_slot)
        yield ClusterCommand(slot_range.preferred_master, arguments, "new cluster: nobody owns these slots")


def _has_majority(views: Views, slot_ranges: Sequence[SlotRange]) -> bool:
    """Return whether most masters answered and themselves see the majority of the masters."""
    serving = 0
    for slot_range in slot_ranges:
        owner = located_owner(views, slot_range)
        serving += owner is not None and owner.view.serves(slot_range)
    return serving * 2 > len(slot_ranges)


def _joins(views: Views, slot_ranges: Sequence[SlotRange]) -> Iterator[ClusterCommand]:
    """Yield the commands that make members without slots replicas of their range's master, if it can be copied now."""
    for slot_range in slot_ranges:
        owner = located_owner(views, slot_range)
        if owner is None or not owner.view.sees_majority or owner.address not in slot_range.members:
            continue
        master_address, master = owner
        for address in slot_range.members:
            view = views.get(address)
            if view is None or view.id == master.id:
                continue
            if not (view.knows(master) and master.knows(view)):
                if not is_foreign(view, master):
                    yield _meet(master_address, address, view, "new, or replaces a lost member")
            elif view.own_entry.master_id != master.id and (view.is_empty or _is_spare(views, view)):
                arguments = ("CLUSTER", "REPLICATE", master.id)
                yield ClusterCommand(address, arguments, f"{master_address} is the master of its slots")


def _failbacks(views: Views, slot_ranges: Sequence[SlotRange]) -> Iterator[ClusterCommand]:
    """Yield failovers back to preferred masters that have recovered.

    Otherwise the other host would hold two masters of three, and its loss would take the majority away.
    """
    for slot_range in slot_ranges:
        preferred = views.get(slot_range.preferred_master)
        owner = located_owner(views, slot_range)
        if preferred is None or owner is None or preferred.id == owner.view.id:
            continue
        if owner.address not in slot_range.members:
            continue
        if preferred.has_sound_file and _can_take_over(preferred, owner.view):
            reason = f"it has recovered and is in sync with {owner.address}"
            yield ClusterCommand(slot_range.preferred_master, ("CLUSTER", "FAILOVER"), reason)


def _removals(views: Views, slot_ranges: Sequence[SlotRange]) -> Iterator[ClusterCommand]:
    """Yield commands by which all members forget replaced ones at once. One that did not would reintroduce them."""
    if not all(address in views for slot_range in slot_ranges for address in slot_range.members):
        return
    if not (_all_know_all(views) and all(located_owner(views, slot_range) for slot_range in slot_ranges)):
        return
    entries = [entry for view in views.values() for entry in view.entries.values()]
    alive = {view.id for view in views.values()} | {entry.id for entry in entries if not entry.failed}
    needed = {entry.id for entry in entries if entry.slots} | {view.own_entry.master_id for view in views.values()}
    replaced = {entry.id for entry in entries if entry.handshake_done} - alive - needed
    for address, view in views.items():
        for member_id in sorted(replaced & view.entries.keys()):
            yield ClusterCommand(address, ("CLUSTER", "FORGET", member_id), "it has been replaced")


def _all_know_all(views: Views) -> bool:
    return all(one.knows(other) for one, other in itertools.permutations(views.values(), 2))


def _is_spare(views: Views, view: MemberView) -> bool:
    """Return whether a replica's data exist elsewhere, because its master answers."""
    return any(other.id == view.own_entry.master_id and other.sees_majority for other in views.values())


def _meet(address: Address, other_address: Address, other: MemberView, reason: str) -> ClusterCommand:
    return ClusterCommand(address, ("CLUSTER", "MEET", *other_address, other.own_entry.bus_port), reason)
