"""One member's view of the cluster: its answers to `CLUSTER NODES`, `CLUSTER INFO`, `INFO` and `DBSIZE`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from manager.append_only.file_state import SECTIONS, AppendOnlyState
from manager.cluster.slot_ranges import Address, SlotRange

VIEW_COMMANDS = (("CLUSTER", "NODES"), ("CLUSTER", "INFO"), ("INFO", "replication", *SECTIONS), ("DBSIZE",))
"""The commands whose answers make up a `MemberView`."""

# After a full copy the append-only file is rewritten in the background and holds old data until then.
_IN_SYNC = {
    "master_link_status": "up",
    "master_sync_in_progress": "0",
    "aof_rewrite_in_progress": "0",
    "aof_rewrite_scheduled": "0",
    "aof_last_bgrewrite_status": "ok",
}


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One line of a member's `CLUSTER NODES`.

    Attributes:
        id: of the member described.
        address: its address as the viewing member knows it; None if unknown.
        bus_port: port of the cluster bus, for messages between members.
        master_id: id of its master; '' if it is a master itself.
        failed: the majority has found it failed, or its address is unknown.
        handshake_done: False until the two members have completed their handshake.
        epoch: of its claim to its slots; a later claim wins.
        slots: ranges, both ends included.
    """

    id: str
    address: Address | None
    bus_port: int
    master_id: str
    failed: bool
    handshake_done: bool
    epoch: int
    slots: tuple[tuple[int, int], ...]

    def owns(self, slot: int) -> bool:
        """Return whether it claims the slot."""
        return any(first <= slot <= last for first, last in self.slots)

    def owns_any_of(self, slot_range: SlotRange) -> bool:
        """Return whether it claims a slot of the range."""
        return any(first <= slot_range.last_slot and last >= slot_range.first_slot for first, last in self.slots)


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member's view of itself and the others.

    Attributes:
        id: its own id.
        entries: all members that it knows, by id, including itself.
        sees_majority: it sees the majority of the masters (`cluster_state:ok`).
        keys: number of keys it holds.
        in_sync: it is a replica, in sync with its master in memory and on disk.
        synced_replicas: number of replicas in sync with it.
        unlinked_seconds: how long this replica has had no link to its master. 0 for a linked replica and for a master,
            infinite if there was no link since its start.
        append_only: its append-only file; None if it has none, or does not tell about it.
        has_sound_file: whether it can be started again from that file, as far as it has been observed.
    """

    id: str
    entries: Mapping[str, NodeEntry]
    sees_majority: bool
    keys: int
    in_sync: bool
    synced_replicas: int
    unlinked_seconds: float
    append_only: AppendOnlyState | None = None
    has_sound_file: bool = True

    @property
    def own_entry(self) -> NodeEntry:
        """The entry about itself."""
        return self.entries[self.id]

    def knows(self, other: "MemberView") -> bool:
        """Return whether it has completed a handshake with another member."""
        entry = self.entries.get(other.id)
        return entry is not None and entry.handshake_done

    def serves(self, slot_range: SlotRange) -> bool:
        """Return whether it owns slots of the range and sees the majority, so that it accepts commands for them."""
        return self.sees_majority and self.own_entry.owns_any_of(slot_range)

    @property
    def is_empty(self) -> bool:
        """Whether it is a master without slots and keys, so that nothing would be lost with it."""
        return not self.own_entry.master_id and not self.own_entry.slots and not self.keys


def parse_view(nodes: str, cluster_info: str, info: str, keys: int) -> MemberView:
    """Parse the answers to `VIEW_COMMANDS`.

    Source of the format: the Redis manual, "CLUSTER NODES", "Serialization format".

    Raises:
        ValueError: they have another format.
    """
    entries: dict[str, NodeEntry] = {}
    own_id = ""
    for line in nodes.splitlines():
        entry, flags = _parse_entry(line)
        entries[entry.id] = entry
        if "myself" in flags:
            own_id = entry.id
    if not own_id:
        raise ValueError("CLUSTER NODES marks no line as `myself`")
    fields = _fields(info)
    return MemberView(
        id=own_id,
        entries=entries,
        sees_majority=_fields(cluster_info).get("cluster_state") == "ok",
        keys=keys,
        in_sync=_IN_SYNC.items() <= fields.items(),
        synced_replicas=sum("state=online" in value for name, value in fields.items() if name.startswith("slave")),
        unlinked_seconds=_unlinked_seconds(fields),
        append_only=AppendOnlyState.parse(fields),
    )


def _parse_entry(line: str) -> tuple[NodeEntry, set[str]]:
    name, place, flag_text, master_id, _, _, epoch, _, *slots = line.split()
    flags = set(flag_text.split(","))
    address, _, rest = place.partition("@")
    host, _, port = address.rpartition(":")
    entry = NodeEntry(
        id=name,
        address=None if "noaddr" in flags or not host else Address(host, int(port)),
        bus_port=int(rest.split(",")[0] or 0),
        master_id="" if master_id == "-" else master_id,
        failed=bool(flags & {"fail", "noaddr"}),
        handshake_done="handshake" not in flags,
        epoch=int(epoch),
        # Slots that are being migrated are listed a second time, in brackets.
        slots=tuple(_parse_range(text) for text in slots if not text.startswith("[")),
    )
    return entry, flags


def _unlinked_seconds(fields: Mapping[str, str]) -> float:
    if fields.get("role") != "slave" or fields.get("master_link_status") == "up":
        return 0.0
    seconds = float(fields.get("master_link_down_since_seconds", -1))
    return seconds if seconds >= 0 else math.inf


def _parse_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def _fields(text: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
