"""Whether a master that has no replica left may acknowledge writes: only while no other server can replace it.

A master that was cut off by a network partition takes writes until it notices, and its replica, on the other side,
replaces it without them. So writes to a master without replicas count only once it is certain that the master did not
lose them through a partition. There are three proofs:

1. A majority of the masters know no server that could replace it (`jobqueue/servers/quorum.py`). This is so when it has
   just been promoted itself.
2. A majority of the masters have heard from it since, and call it a master.
3. If they cannot be asked: it has been with the majority, and without replicas, for longer than a failover takes,
   1.5 x node timeout + 0.5 s. A master that was cut off stops within 1.5 x node timeout (`cluster_state:fail`), and one
   that was replaced learns of it as soon as it is in touch with the others again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

TRUST_DELAY_NODE_TIMEOUTS, TRUST_DELAY_EXTRA_SECONDS = 1.5, 0.5
MAX_UNREAD_SECONDS = 0.5
"""How long a message may lie unread at the other masters: an older one does not prove that they are in touch."""


def trust_delay_seconds(node_timeout_seconds: float) -> float:
    """Return how long a master must have been without replicas before it is trusted."""
    return TRUST_DELAY_NODE_TIMEOUTS * node_timeout_seconds + TRUST_DELAY_EXTRA_SECONDS


@dataclass(frozen=True, slots=True)
class ReplicationState:
    """A server's role and replicas, from the sections server, replication and stats of its INFO.

    Attributes:
        run_id: changes when the server is restarted.
        replication_id: changes when the server becomes a master.
        is_master: whether it is one.
        in_cluster: whether it belongs to a cluster.
        linked_replicas: number of replicas that follow it. In a cluster this includes those that still receive their
            first copy: such a replica may replace the master as soon as it has the copy, while writes made since the
            copy began are still on their way.
        departed_replicas: how many times a linked replica has gone away, including between two reads of the state.
    """

    run_id: str
    replication_id: str
    is_master: bool
    in_cluster: bool
    linked_replicas: int
    departed_replicas: int

    @classmethod
    def parse(cls, info: Mapping[str, str]) -> "ReplicationState":
        """Parse INFO's fields."""
        replicas = [value for name, value in info.items() if name.startswith("slave") and "state=" in value]
        in_cluster = info.get("redis_mode", info.get("server_mode")) == "cluster"
        following = replicas if in_cluster else [replica for replica in replicas if "state=online" in replica]
        attached = int(info.get("sync_full", 0)) + int(info.get("sync_partial_ok", 0))
        return cls(
            run_id=info.get("run_id", ""),
            replication_id=info.get("master_replid", ""),
            is_master=info.get("role") == "master",
            in_cluster=in_cluster,
            linked_replicas=len(following),
            departed_replicas=attached - len(replicas),
        )


class UnreplicatedMaster:
    """One server's time as a master without replicas, as far as it was observed. Pure: the caller passes the time.

    Attributes:
        trust_delay_seconds: see the function of that name; None until it is known.
        is_trusted: whether the server's writes may be acknowledged.
    """

    def __init__(self) -> None:
        self.trust_delay_seconds: float | None = None
        self.is_trusted = False
        self._state: ReplicationState | None = None
        self._since = 0.0

    def remaining_seconds(self, state: ReplicationState, *, asked_at: float, answered_at: float) -> float:
        """Return how long the server must stay in this state until it is trusted; 0 once it is.

        Args:
            state: of a master without linked replicas, in a cluster that serves.
            asked_at, answered_at: when it was asked for and received, in monotonic seconds.
        """
        if state != self._state:
            self._state, self._since = state, answered_at
        delay = self.trust_delay_seconds
        remaining = math.inf if delay is None else max(0.0, self._since + delay - asked_at)
        self.is_trusted = remaining == 0.0
        return remaining

    def confirm(self, contact_time: float) -> bool:
        """Take the majority's word into account; return whether the server is trusted now.

        Args:
            contact_time: see `quorum.majority_contact_time`.
        """
        if self._state is not None and contact_time > self._since + MAX_UNREAD_SECONDS:
            # Trusted without asking again, until its state changes.
            self._since = float("-inf")
            self.is_trusted = True
        return self.is_trusted

    def reset(self) -> None:
        """Start over: the server has a replica, is no master any more, or its cluster does not serve."""
        self._state = None
        self.is_trusted = False
