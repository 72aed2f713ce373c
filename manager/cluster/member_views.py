"""What a member of the cluster says about itself and the others."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from manager.cluster.slot_ranges import Address

# After a full copy the append-only file is written anew, in the background: until then it holds what was before.
_IN_STEP = {
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
        id: of the member that the line is about.
        address: where the one that speaks believes it to be; None where it does not know.
        bus_port: where the members talk to each other.
        master_id: of the member that it copies; '' for a master.
        failed: a majority has found it dead, or it has no address any more.
        introduced: False while the two have not yet shaken hands.
        epoch: of its claim to its slots; a later claim beats an earlier one.
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
        """Whether it claims the slot."""
        return any(first <= slot <= last for first, last in self.slots)


@dataclass(frozen=True, slots=True)
class MemberView:
    """What one member says.

    Attributes:
        id: its own.
        entries: by id, itself among them.
        ok: it sees the majority of the masters.
        keys: how many it holds.
        copied: it is a replica, in step with its master, and its disk has what its memory has.
        copies: replicas that are in step with it.
        unlinked_seconds: for how long it has been a replica without a link to its master; 0 where it is linked or a
            master, infinite where it has not been linked since it was started.
    """

    id: str
    entries: Mapping[str, NodeEntry]
    sees_majority: bool
    keys: int
    in_sync: bool
    synced_replicas: int
    unlinked_seconds: float

    @property
    def own_entry(self) -> NodeEntry:
        """Its own line."""
        return self.entries[self.id]

    def knows(self, other: "MemberView") -> bool:
        """Whether it has shaken hands with another."""
        entry = self.entries.get(other.id)
        return entry is not None and entry.handshake_done

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be lost with it: a master without slots and keys."""
        return not self.own_entry.master_id and not self.own_entry.slots and not self.keys


def parse_view(nodes: str, cluster_info: str, info: str, keys: int) -> MemberView:
    """Reads the answers to `CLUSTER NODES`, `CLUSTER INFO`, `INFO replication persistence` and `DBSIZE`.

    Source of the forms: the Redis manual, "CLUSTER NODES", "Serialization format".

    Raises:
        ValueError: they have another form.
    """
    entries: dict[str, NodeEntry] = {}
    own_id = ""
    for line in nodes.splitlines():
        entry, flags = _read_entry(line)
        entries[entry.id] = entry
        if "myself" in flags:
            own_id = entry.id
    if not own_id:
        raise ValueError("CLUSTER NODES names nobody as the member itself")
    told = _fields(info)
    return MemberView(
        id=own_id,
        entries=entries,
        sees_majority=_fields(cluster_info).get("cluster_state") == "ok",
        keys=keys,
        in_sync=_IN_STEP.items() <= told.items(),
        synced_replicas=sum("state=online" in value for name, value in told.items() if name.startswith("slave")),
        unlinked_seconds=_unlinked_seconds(told),
    )


def _read_entry(line: str) -> tuple[NodeEntry, set[str]]:
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
        # Slots that are being moved stand in brackets, once more.
        slots=tuple(_read_range(text) for text in slots if not text.startswith("[")),
    )
    return entry, flags


def _unlinked_seconds(told: Mapping[str, str]) -> float:
    if told.get("role") != "slave" or told.get("master_link_status") == "up":
        return 0.0
    seconds = float(told.get("master_link_down_since_seconds", -1))
    return seconds if seconds >= 0 else math.inf


def _read_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def _fields(text: str) -> dict[str, str]:
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
