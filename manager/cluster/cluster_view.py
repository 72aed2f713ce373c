"""The cluster as its members together describe it: who owns which slots, where a member is, who is foreign."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from manager.cluster.member_views import MemberView, NodeEntry
from manager.cluster.slot_ranges import Address, SlotRange

Views = Mapping[Address, MemberView]
"""The views of the members that answered, by configured address."""


class Located(NamedTuple):
    """A member that answered, and its view."""

    address: Address
    view: MemberView


def slot_owner(views: Views, slot_range: SlotRange) -> NodeEntry | None:
    """Return the owner of most slots of a range by the latest claims known to the cluster; None if there are no claims.

    Most slots, because a person may have moved some of them to another master.
    """
    # Only the largest group of members that know each other counts. This leaves out a member of another cluster and one
    # that was restored from an old disk.
    groups = [[view for view in views.values() if view.knows(one) and one.knows(view)] for one in views.values()]
    largest = max(groups, key=len, default=[])
    claims = [entry for view in largest for entry in view.entries.values() if entry.owns_any_of(slot_range)]
    counts: Counter[str] = Counter()
    for first, last in _pieces(claims, slot_range):
        owners = [entry for entry in claims if entry.owns(first)]
        if owners:
            counts[max(owners, key=_epoch).id] += last - first + 1
    if not counts:
        return None
    ((owner_id, _),) = counts.most_common(1)
    return max((entry for entry in claims if entry.id == owner_id), key=_epoch)


def _pieces(claims: Iterable[NodeEntry], slot_range: SlotRange) -> Iterator[tuple[int, int]]:
    """Yield the range in pieces, each of which has one set of claimants."""
    starts = {slot_range.first_slot}
    for first, last in itertools.chain.from_iterable(entry.slots for entry in claims):
        starts |= {first, last + 1}
    inside = sorted(start for start in starts if slot_range.first_slot <= start <= slot_range.last_slot)
    for start, following in itertools.pairwise([*inside, slot_range.last_slot + 1]):
        yield start, following - 1


def _epoch(entry: NodeEntry) -> int:
    return entry.epoch


def locate(views: Views, member: NodeEntry | None) -> Located | None:
    """Return where a member answered, and its view; None if it did not answer."""
    return next((Located(address, view) for address, view in views.items() if member and view.id == member.id), None)


def located_owner(views: Views, slot_range: SlotRange) -> Located | None:
    """Return where the owner of a range answered; None if it did not, or there is none."""
    return locate(views, slot_owner(views, slot_range))


def is_foreign(view: MemberView, member: MemberView) -> bool:
    """Return whether `view` is or was in another cluster than `member`: introducing it would merge the two clusters."""
    known = {entry.id for entry in view.entries.values() if entry.handshake_done} - {view.id}
    return not (view.is_empty and known <= member.entries.keys())
