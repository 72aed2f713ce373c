"""All faults by name, with the limits that hold during and after each one."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tests.acceptance.faults import network_faults, process_faults, resource_faults
from tests.acceptance.faults.fault_context import FaultContext, InjectFault


class CountSilence(Enum):
    """When the measured pause of writes starts: with the fault, or with its end if the fault blocks all writes."""

    FROM_START = "from the fault's start"
    FROM_END = "from the fault's end"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault.

    Attributes:
        inject: injects the fault and returns once its cause is gone.
        counts_silence: when the measured pause of writes starts.
        max_attempts: how often a client may have to send one request; None if that depends on how long a host is away.
    """

    inject: InjectFault
    counts_silence: CountSilence = CountSilence.FROM_START
    max_attempts: int | None = None


FAULTS: Mapping[str, FaultKind] = {
    "manager killed": FaultKind(process_faults.kill_program(FaultContext.any_manager)),
    "agent killed": FaultKind(process_faults.kill_program(FaultContext.any_agent)),
    "executor killed": FaultKind(process_faults.kill_executors),
    "master killed": FaultKind(process_faults.kill_program(FaultContext.any_master)),
    "replica killed": FaultKind(process_faults.kill_program(FaultContext.any_replica)),
    "manager stopped": FaultKind(process_faults.freeze_program(FaultContext.any_manager)),
    "agent stopped": FaultKind(process_faults.freeze_program(FaultContext.any_agent)),
    "executor stopped": FaultKind(process_faults.freeze_executors),
    "master stopped": FaultKind(process_faults.freeze_program(FaultContext.any_master)),
    "replica stopped": FaultKind(process_faults.freeze_program(FaultContext.any_replica)),
    "host lost": FaultKind(process_faults.lose_host),
    "host replaced": FaultKind(process_faults.replace_host),
    "hosts lost in turn": FaultKind(process_faults.lose_hosts_in_turn),
    "witness lost": FaultKind(process_faults.lose_witness),
    "link cut": FaultKind(network_faults.cut_link),
    "sending cut": FaultKind(network_faults.cut_sending),
    "receiving cut": FaultKind(network_faults.cut_receiving),
    "managers restarted": FaultKind(process_faults.restart_managers, max_attempts=2),
    "stores restarted": FaultKind(process_faults.restart_redis_servers, max_attempts=2),
    "memory full": FaultKind(resource_faults.fill_memory, CountSilence.FROM_END),
    "disk full": FaultKind(resource_faults.fill_disk, CountSilence.FROM_END),
    "connections reset": FaultKind(network_faults.reset_connections),
    "clock off": FaultKind(resource_faults.shift_clock),
    "power cut": FaultKind(resource_faults.cut_power, CountSilence.NEVER),
}
