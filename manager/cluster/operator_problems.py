"""Problems of the Redis Cluster that an operator must solve: each is described with what to do."""

import math
from collections.abc import Iterator, Sequence

from manager.cluster.cluster_view import Views, is_foreign, locate, slot_owner
from manager.cluster.member_views import MemberView, NodeEntry
from manager.cluster.slot_ranges import Address, SlotRange

FAILOVER_ELIGIBLE_SECONDS = 23.8
"""A replica that has been unlinked for longer never takes over from its master automatically.

Node timeout x (1 + cluster-replica-validity-factor) + repl-ping-replica-period, with the settings of
workmanager/store_settings.py. The additional node timeout is the time until the master is found to have failed. Source:
the Redis manual, `redis.conf`, "cluster-replica-validity-factor".
"""

_EMPTY_IT = "move its data directory away and start it again"


def operator_problems(views: Views, slot_ranges: Sequence[SlotRange]) -> Iterator[str]:
    """Yield a description of each problem; nothing if the cluster is well or recovers automatically."""
    for slot_range in slot_ranges:
        present = {address: views[address] for address in slot_range.members if address in views}
        owner = slot_owner(views, slot_range)
        if owner is None:
            yield from _unclaimed(slot_range, present)
        elif (located := locate(views, owner)) is None:
            yield from _owner_down(slot_range, owner, present)
        else:
            if located.address not in slot_range.members:
                yield _describe_moved(slot_range, located.address)
            yield from _foreign_members(located.view, present)


def _unclaimed(slot_range: SlotRange, present: Views) -> Iterator[str]:
    """Yield members that prevent a cluster from being formed."""
    for address, view in present.items():
        if not view.is_empty:
            yield f"{address} must serve {_slots(slot_range)} but holds other data: {_EMPTY_IT}"


def _owner_down(slot_range: SlotRange, owner: NodeEntry, present: Views) -> Iterator[str]:
    """Yield replicas that cannot take over, or the loss of both members."""
    replicas = {address: view for address, view in present.items() if view.own_entry.master_id == owner.id}
    for address, view in replicas.items():
        if _cannot_take_over(view, owner):
            (awaited,) = (member for member in slot_range.members if member != address)
            yield _describe_stuck_replica(slot_range, awaited, address, view)
    if owner.failed and len(present) == len(slot_range.members) and not replicas:
        yield (
            f"{_slots(slot_range)} are lost with both members that had them: restore one from a backup, or give them "
            f"up with CLUSTER FORGET {owner.id} at every member"
        )


def _foreign_members(master: MemberView, present: Views) -> Iterator[str]:
    for address, view in present.items():
        known = view.knows(master) or master.knows(view)
        if view.id != master.id and not known and is_foreign(view, master):
            yield f"{address} holds data of another cluster: {_EMPTY_IT}"


def _cannot_take_over(view: MemberView, master: NodeEntry) -> bool:
    """Return whether Redis does not let a replica take over from its master, which the majority has found failed.

    After a power cut of all hosts this also holds while the master takes longer than the others to start or to load its
    file. It cannot be told from a master that does not start.
    """
    known = view.entries.get(master.id)
    # A replica in a minority would not get the votes either, so the replica's own state does not matter there.
    return (
        view.sees_majority and known is not None and known.failed and view.unlinked_seconds > FAILOVER_ELIGIBLE_SECONDS
    )


def _describe_stuck_replica(slot_range: SlotRange, awaited: Address, replica: Address, view: MemberView) -> str:
    unlinked = "since it started" if view.unlinked_seconds == math.inf else "for too long"
    return (
        f"{_slots(slot_range)} wait for {awaited}: its replica at {replica} has had no link to it {unlinked}, so Redis "
        f"does not let it take over. Start {awaited} with its data. Only if that data is lost, and before an empty "
        f"server starts there, send CLUSTER FAILOVER FORCE to {replica}: it then serves the {view.keys} keys that it "
        "has"
    )


def _describe_moved(slot_range: SlotRange, owner: Address) -> str:
    members = " and ".join(map(str, slot_range.members))
    return (
        f"most of {_slots(slot_range)} have been moved to {owner}: {members} are left alone until most are back "
        "(redis-cli --cluster reshard)"
    )


def _slots(slot_range: SlotRange) -> str:
    return f"slots {slot_range.first_slot}-{slot_range.last_slot}"
