"""All faults by name, with what must hold while and after each one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tests.acceptance.faults import process_faults
from tests.acceptance.faults import network_faults
from tests.acceptance.faults import resource_faults
from tests.acceptance.faults.fault_context import Fault, Situation


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
    "manager killed": Kind(process_faults.killed(Situation.any_manager)),
    "agent killed": Kind(process_faults.killed(Situation.any_agent)),
    "executor killed": Kind(process_faults.executor_killed),
    "master killed": Kind(process_faults.killed(Situation.any_master)),
    "replica killed": Kind(process_faults.killed(Situation.any_replica)),
    "manager stopped": Kind(process_faults.stopped(Situation.any_manager)),
    "agent stopped": Kind(process_faults.stopped(Situation.any_agent)),
    "executor stopped": Kind(process_faults.executor_stopped),
    "master stopped": Kind(process_faults.stopped(Situation.any_master)),
    "replica stopped": Kind(process_faults.stopped(Situation.any_replica)),
    "host lost": Kind(process_faults.host_lost),
    "host replaced": Kind(process_faults.host_replaced),
    "hosts lost in turn": Kind(process_faults.hosts_lost_in_turn),
    "witness lost": Kind(process_faults.witness_lost),
    "link cut": Kind(network_faults.link_cut),
    "sending cut": Kind(network_faults.sending_cut),
    "receiving cut": Kind(network_faults.receiving_cut),
    "managers restarted": Kind(process_faults.managers_restarted, most_attempts=2),
    "stores restarted": Kind(process_faults.stores_restarted, most_attempts=2),
    "memory full": Kind(resource_faults.memory_full, Writes.RESUME),
    "disk full": Kind(resource_faults.disk_full, Writes.RESUME),
    "connections reset": Kind(network_faults.connections_reset),
    "clock off": Kind(resource_faults.clock_off),
    "power cut": Kind(resource_faults.power_cut, Writes.START_ANEW),
}
