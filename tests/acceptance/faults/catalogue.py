"""All faults by name, with what must hold while and after each one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tests.acceptance.faults import breaking, cutting, starving
from tests.acceptance.faults.situation import Fault, Situation


class Writes(Enum):
    """From when on the time without writes counts: the fault's begin, or, where it lets no write through, its end."""

    GO_ON = "from its begin"
    RESUME = "from its end"
    START_ANEW = "not at all"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault.

    Attributes:
        most_attempts: how often a request may have to be sent until it is answered as wanted; None where that depends
            on how long a host is away.
    """

    strike: Fault
    writes: Writes = Writes.GO_ON
    most_attempts: int | None = None


FAULTS: Mapping[str, Kind] = {
    "manager killed": Kind(breaking.killed(Situation.any_manager)),
    "agent killed": Kind(breaking.killed(Situation.any_agent)),
    "executor killed": Kind(breaking.executor_killed),
    "master killed": Kind(breaking.killed(Situation.any_master)),
    "replica killed": Kind(breaking.killed(Situation.any_replica)),
    "manager stopped": Kind(breaking.stopped(Situation.any_manager)),
    "agent stopped": Kind(breaking.stopped(Situation.any_agent)),
    "executor stopped": Kind(breaking.executor_stopped),
    "master stopped": Kind(breaking.stopped(Situation.any_master)),
    "replica stopped": Kind(breaking.stopped(Situation.any_replica)),
    "host lost": Kind(breaking.host_lost),
    "host replaced": Kind(breaking.host_replaced),
    "hosts lost in turn": Kind(breaking.hosts_lost_in_turn),
    "witness lost": Kind(breaking.witness_lost),
    "link cut": Kind(cutting.link_cut),
    "sending cut": Kind(cutting.sending_cut),
    "receiving cut": Kind(cutting.receiving_cut),
    "managers restarted": Kind(breaking.managers_restarted, most_attempts=2),
    "stores restarted": Kind(breaking.stores_restarted, most_attempts=2),
    "memory full": Kind(starving.memory_full, Writes.RESUME),
    "disk full": Kind(starving.disk_full, Writes.RESUME),
    "connections reset": Kind(cutting.connections_reset),
    "clock off": Kind(starving.clock_off),
    "power cut": Kind(starving.power_cut, Writes.START_ANEW),
}
