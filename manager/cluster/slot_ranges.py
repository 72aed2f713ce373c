"""Who is to serve which slots: the groups of a cluster, each a master's place and its replica's."""

import ipaddress
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jobqueue.servers.topology import HASH_SLOTS
from jobqueue.sharding.layout import WITNESS_SLOT


class Address(NamedTuple):
    """Where a member takes commands."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SlotRange:
    """One master's range of slots.

    Attributes:
        first_slot, last_slot: the range, both included.
        home: where the master belongs; another member serves only until this one can again.
        replica: the member on another host that copies it.
    """

    first_slot: int
    last_slot: int
    preferred_master: Address
    replica: Address

    @property
    def members(self) -> tuple[Address, ...]:
        """The places, the master's first."""
        return (self.preferred_master, self.replica)


def parse_hosts(hosts: Sequence[str]) -> tuple[SlotRange, ...]:
    """The groups of three hosts, of which any one can be lost.

    Two managers' hosts and a witness, `IP:PORT+PORT,IP:PORT+PORT+PORT,IP:PORT`: the first port of each host is its
    master's, the second that of the replica of the other manager's master, the third that of the witness's replica. The
    witness votes and owns but one slot, in which no job lies. That slot is copied, too: a witness lost for good is
    replaced by an empty one, and only owners of slots vote.

    Three equal hosts, `IP:PORT+PORT,IP:PORT+PORT,IP:PORT+PORT`: each has a master and the replica of the one before.

    Raises:
        ValueError: they are not of these forms.
    """
    members = [_read_host(host) for host in hosts]
    if len(set(itertools.chain(*members))) < sum(map(len, members)):
        raise ValueError("an address stands there twice")
    match members:
        case [[first, second_copy], [second, first_copy, witness_copy], [witness]]:
            middle = WITNESS_SLOT // 2
            return (
                SlotRange(0, middle, first, first_copy),
                SlotRange(middle + 1, WITNESS_SLOT - 1, second, second_copy),
                SlotRange(WITNESS_SLOT, WITNESS_SLOT, witness, witness_copy),
            )
        case [[first, third_copy], [second, first_copy], [third, second_copy]]:
            places = ((first, first_copy), (second, second_copy), (third, third_copy))
            bounds = [HASH_SLOTS * number // 3 for number in range(4)]
            return tuple(SlotRange(bounds[at], bounds[at + 1] - 1, *place) for at, place in enumerate(places))
    counts = ", ".join(str(len(host)) for host in members)
    raise ValueError(f"three hosts with 2, 3, 1 or 2, 2, 2 ports are needed, not {counts}")


def _read_host(text: str) -> list[Address]:
    host, _, ports = text.rpartition(":")
    try:
        ipaddress.ip_address(host)  # members know each other by addresses, not by names
        numbers = [int(port) for port in ports.split("+")]
    except ValueError:
        raise ValueError(f"{text!r} is not IP:PORT+PORT") from None
    if not all(0 < number < 65536 for number in numbers):
        raise ValueError(f"{text!r} has a port that is none")
    return [Address(host, number) for number in numbers]
