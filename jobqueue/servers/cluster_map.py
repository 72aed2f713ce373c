"""The cluster as one server sees it: parsed from CLUSTER INFO and CLUSTER SLOTS, and which of several views counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from jobqueue.errors import ShardUnavailable, WrongDatabase
from jobqueue.servers.connection_pool import parse_info

HASH_SLOTS = 16384
MAP_COMMANDS = (("CLUSTER", "INFO"), ("CLUSTER", "SLOTS"))

Address = tuple[str, int]


class Partitioned(ShardUnavailable):
    """Servers of a cluster reply, but none of them is in the majority partition: they accept no commands."""


@dataclass(frozen=True, slots=True)
class ClusterMap:
    """The cluster as one server sees it.

    Attributes:
        masters: first slot, last slot and master's address of each range.
        replicas: their addresses.
        epoch: of the cluster; it grows with every failover.
        has_majority: whether the server is in the majority partition, as far as it knows.
        clustered: False for a plain Redis, which has every slot.
    """

    masters: tuple[tuple[int, int, Address], ...]
    replicas: frozenset[Address]
    epoch: int
    has_majority: bool
    clustered: bool

    @classmethod
    def of_standalone(cls, address: Address) -> "ClusterMap":
        """Return the map of a server that belongs to no cluster."""
        return cls(((0, HASH_SLOTS - 1, address),), frozenset(), 0, True, False)

    @classmethod
    def parse(cls, info: bytes, slots: Any, asked: Address) -> "ClusterMap":
        """Parse the replies to CLUSTER INFO and CLUSTER SLOTS of the server at `asked`."""
        fields = parse_info(info)

        # An entry is [first slot, last slot, master, *replicas], a server is [host, port, id, …]. A server may give its
        # own host as ''.
        def address(server: Any) -> Address:
            return (server[0].decode() if server[0] else asked[0], int(server[1]))

        return cls(
            masters=tuple((int(first), int(last), address(master)) for first, last, master, *_ in slots),
            replicas=frozenset(address(replica) for _, _, _, *replicas in slots for replica in replicas),
            epoch=int(fields.get("cluster_current_epoch", 0)),
            has_majority=fields.get("cluster_state") == "ok",
            clustered=True,
        )


def parse_map(address: Address, replies: Sequence[Any]) -> ClusterMap | ShardUnavailable:
    """Parse the replies to `MAP_COMMANDS`; what is no map of a cluster is a failure of that server."""
    info, slots = replies
    if isinstance(slots, RedisError) and "cluster support disabled" in str(slots):
        return ClusterMap.of_standalone(address)
    for reply in (info, slots):
        if isinstance(reply, RedisError):
            return ShardUnavailable("Redis at {}:{}: {}".format(*address, reply))
    try:
        return ClusterMap.parse(info, slots, address)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        return ShardUnavailable("Redis at {}:{} answers no map of a cluster: {!r}".format(*address, error))


def least_outdated(answers: Sequence[ClusterMap | ShardUnavailable]) -> ClusterMap:
    maps = [answer for answer in answers if isinstance(answer, ClusterMap)]
    failures = "; ".join(str(answer) for answer in answers if isinstance(answer, ShardUnavailable))
    if not maps:
        wrong = any(isinstance(answer, WrongDatabase) for answer in answers)
        raise WrongDatabase(failures) if wrong else ShardUnavailable(failures)
    candidates = [found for found in maps if found.has_majority]
    if not candidates:
        text = (
            "the Redis Cluster is unavailable: no reachable server is in the majority partition, or the cluster is not"
            " formed yet"
        )
        raise Partitioned(f"{text}; {failures}" if failures else text)
    return max(candidates, key=lambda found: found.epoch)
