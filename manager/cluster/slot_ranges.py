"""The configured layout of the Redis Cluster: slot ranges, each with a preferred master and a replica."""

import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jobqueue.servers.cluster_map import HASH_SLOTS
from jobqueue.sharding.layout import WITNESS_SLOT


class Address(NamedTuple):
    """Address at which a member accepts commands."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SlotRange:
    """One master's range of slots.

    Attributes:
        first_slot, last_slot: the range, both included.
        preferred_master: serves the range unless it is down; the replica hands it back afterwards.
        replica: the member on another host that replicates it.
    """

    first_slot: int
    last_slot: int
    preferred_master: Address
    replica: Address

    @property
    def members(self) -> tuple[Address, ...]:
        """Both members, the preferred master first."""
        return (self.preferred_master, self.replica)


def parse_hosts(hosts: Sequence[str]) -> tuple[SlotRange, ...]:
    """Return the slot ranges of three hosts, any one of which can be lost; the hosts have one of two forms.

    Two managers' hosts and a witness, `IP:PORT+PORT,IP:PORT+PORT+PORT,IP:PORT`. The first port of each host is a
    master. The second is the replica of the other manager's master, the third the replica of the witness. The witness
    votes and owns only one slot, which holds no jobs. It has a replica so that a lost witness can be replaced by an
    empty one: only owners of slots vote.

    Three equal hosts, `IP:PORT+PORT,IP:PORT+PORT,IP:PORT+PORT`. Each has a master and the replica of the host before.

    Raises:
        ValueError: the hosts have neither form.
    """
    members = [_parse_host(host) for host in hosts]
    if len(set(itertools.chain(*members))) < sum(map(len, members)):
        raise ValueError("an address is listed twice")
    match members:
        case [[first, second_replica], [second, first_replica, witness_replica], [witness]]:
            middle = WITNESS_SLOT // 2
            return (
                SlotRange(0, middle, first, first_replica),
                SlotRange(middle + 1, WITNESS_SLOT - 1, second, second_replica),
                SlotRange(WITNESS_SLOT, WITNESS_SLOT, witness, witness_replica),
            )
        case [[first, third_replica], [second, first_replica], [third, second_replica]]:
            pairs = ((first, first_replica), (second, second_replica), (third, third_replica))
            bounds = [HASH_SLOTS * number // 3 for number in range(4)]
            return tuple(SlotRange(bounds[index], bounds[index + 1] - 1, *pair) for index, pair in enumerate(pairs))
    counts = ", ".join(str(len(host)) for host in members)
    raise ValueError(f"needs three hosts with 2, 3, 1 or 2, 2, 2 ports, not {counts}")


def _parse_host(text: str) -> list[Address]:
    host, _, ports = text.rpartition(":")
    try:
        ipaddress.ip_address(host)  # members know each other by IP address, not by name
        numbers = [int(port) for port in ports.split("+")]
    except ValueError:
        raise ValueError(f"{text!r} is not IP:PORT+PORT") from None
    if not all(0 < number < 65536 for number in numbers):
        raise ValueError(f"{text!r}: ports are numbers from 1 to 65535")
    return [Address(host, number) for number in numbers]
