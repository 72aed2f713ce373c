"""Health of the Redis Cluster: counts of what is missing, and problems that an operator must solve."""

from collections.abc import Sequence
from dataclasses import dataclass

from manager.cluster.cluster_view import Views, located_owner
from manager.cluster.operator_problems import operator_problems
from manager.cluster.slot_ranges import SlotRange


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The cluster as one manager sees it.

    Attributes:
        members: how many there should be.
        members_down: members that do not answer.
        masters_down: slot ranges that no master serves.
        replicas_missing: masters without a linked replica.
        masters_off_preferred_host: masters that run on another host than their preferred one.
        files_unsound: members that may not start again from their append-only file, until it has been rewritten.
        requires_operator: problems that no command can solve, each with instructions. A master that all others wait for
            after a power cut is among them until it is up.
    """

    members: int
    members_down: int
    masters_down: int
    replicas_missing: int
    masters_off_preferred_host: int
    files_unsound: int
    requires_operator: tuple[str, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is missing, and every master is on its preferred host and can be restarted from its file."""
        return not (
            self.members_down
            or self.masters_down
            or self.replicas_missing
            or self.masters_off_preferred_host
            or self.files_unsound
            or self.requires_operator
        )


def assess(views: Views, slot_ranges: Sequence[SlotRange]) -> ClusterState:
    """Return the state of the cluster according to the members that answered."""
    members = {address for slot_range in slot_ranges for address in slot_range.members}
    masters_down = replicas_missing = off_preferred_host = 0
    for slot_range in slot_ranges:
        owner = located_owner(views, slot_range)
        if owner is None or not owner.view.serves(slot_range):
            masters_down += 1
            continue
        replicas_missing += not owner.view.synced_replicas
        off_preferred_host += owner.address != slot_range.preferred_master
    return ClusterState(
        members=len(members),
        members_down=len(members - views.keys()),
        masters_down=masters_down,
        replicas_missing=replicas_missing,
        masters_off_preferred_host=off_preferred_host,
        files_unsound=sum(not view.has_sound_file for view in views.values()),
        requires_operator=tuple(operator_problems(views, slot_ranges)),
    )
