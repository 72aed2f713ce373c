"""How the cluster is, in a few words and numbers, for operators."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from manager.cluster.member_views import MemberView, NodeEntry
from manager.cluster.plan import Views, is_foreign, locate, slot_owner
from manager.cluster.slot_ranges import Address, SlotRange

FAILOVER_ELIGIBLE_SECONDS = 23.0
"""A replica that has been unlinked for longer never succeeds its master by itself.

Node timeout x (1 + cluster-replica-validity-factor) + repl-ping-replica-period, with the settings of
workmanager/store_settings.py and Redis' default factor of 10. Source: the Redis manual, `redis.conf`,
"cluster-replica-validity-factor"; the one node timeout more is that after which the master is found dead.
"""

_EMPTY_IT = "move its directory away and start it again"


@dataclass(frozen=True, slots=True)
class ClusterState:
    """What one manager sees.

    Attributes:
        members: how many there should be.
        members_down: of these, how many do not answer.
        masters_down: ranges of slots that nobody serves.
        replicas_missing: masters without a linked replica where there should be one.
        masters_off_preferred_host: masters that another host than their own serves.
        requires_operator: what no step can put right, with what to do; empty where all is well or will be. A master that
            all others wait for after a power cut stands there, too, until it is up.
    """

    members: int
    members_down: int
    masters_down: int
    replicas_missing: int
    masters_off_preferred_host: int
    requires_operator: tuple[str, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is missing and everything is in its place."""
        return not (
            self.members_down
            or self.masters_down
            or self.replicas_missing
            or self.masters_off_preferred_host
            or self.requires_operator
        )


def assess(views: Views, slot_ranges: Sequence[SlotRange]) -> ClusterState:
    """The state of the cluster, as those members say that answer."""
    members = {address for group in slot_ranges for address in group.members}
    masters_down = replicas_missing = strayed = 0
    for group in slot_ranges:
        found = locate(views, slot_owner(views, group))
        if found is None or not (found[1].sees_majority and found[1].own_entry.owns(group.first_slot)):
            masters_down += 1
            continue
        replicas_missing += not found[1].synced_replicas
        strayed += found[0] != group.preferred_master
    return ClusterState(
        members=len(members),
        members_down=len(members - views.keys()),
        masters_down=masters_down,
        replicas_missing=replicas_missing,
        masters_off_preferred_host=strayed,
        requires_operator=tuple(_needs(views, slot_ranges)),
    )


def _needs(views: Views, groups: Sequence[SlotRange]) -> Iterator[str]:
    for group in groups:
        slots = f"slots {group.first_slot}-{group.last_slot}"
        entry = slot_owner(views, group)
        found = locate(views, entry)
        here = {address: views[address] for address in group.members if address in views}
        if entry is None:
            for address, view in here.items():
                if not view.is_empty:
                    yield f"{address} is to serve {slots} but holds other data: {_EMPTY_IT}"
        elif found is None:
            copies = {address: view for address, view in here.items() if view.own_entry.master_id == entry.id}
            for address, view in copies.items():
                if _is_barred(view, entry):
                    (away,) = (place for place in group.members if place != address)
                    yield _barred_replica(slots, away, address, view)
            if entry.failed and len(here) == len(group.members) and not copies:
                yield (
                    f"{slots} are lost with both members that had them: restore one from a backup, or give them up "
                    f"with CLUSTER FORGET {entry.id} at every member"
                )
        else:
            for address, view in here.items():
                known = view.knows(found[1]) or found[1].knows(view)
                if view.id != entry.id and not known and is_foreign(view, found[1]):
                    yield f"{address} holds data of another cluster: {_EMPTY_IT}"


def _is_barred(view: MemberView, master: NodeEntry) -> bool:
    """Whether Redis does not let a replica succeed its master, although the majority has found that one dead.

    After a power cut of all hosts that is also so for as long as the master takes longer to start than the others, or
    to load its file: nothing tells it from one that does not start.
    """
    known = view.entries.get(master.id)
    # In a minority it would not get the votes either: then it is not for the replica to go on.
    return (
        view.sees_majority and known is not None and known.failed and view.unlinked_seconds > FAILOVER_ELIGIBLE_SECONDS
    )


def _barred_replica(slots: str, away: Address, replica: Address, view: MemberView) -> str:
    unlinked = "since its own start" if view.unlinked_seconds == math.inf else "for too long"
    return (
        f"{slots} wait for {away}: its replica at {replica} has not heard from it {unlinked}, so that Redis does not "
        f"let it take over. Start {away} with its data. Only where they are lost, and before an empty server starts "
        f"there, send CLUSTER FAILOVER FORCE to {replica}: it then serves the {view.keys} keys that it has"
    )
