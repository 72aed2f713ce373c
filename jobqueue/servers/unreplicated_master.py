"""Whether a master that has no replica left may still be believed: only while no other server can take its place.

A master that was cut off goes on taking writes until it notices, and its replica, on the other side, succeeds it
without them. So the writes of a master without replicas count only once it is known that it did not lose them by being
cut off: a majority of the masters say that they have heard from it since, and that it is theirs (`jobqueue/servers/quorum.py`).
Where they cannot be asked, it must have been the majority's, and alone, for longer than a succession takes: 1.5 x node
timeout + 0.5 s. A cut-off master stops within 1.5 x node timeout (`cluster_state:fail`), and one that was succeeded
hears of it as soon as it is in touch with the others again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

TRUST_DELAY_NODE_TIMEOUTS, TRUST_DELAY_EXTRA_SECONDS = 1.5, 0.5
MAX_UNREAD_SECONDS = 0.5
"""For so long what a master sent may lie unread at the others: it does not prove that they are in touch."""


def trust_delay_seconds(node_timeout_seconds: float) -> float:
    """How long a master must have been alone before it is believed."""
    return TRUST_DELAY_NODE_TIMEOUTS * node_timeout_seconds + TRUST_DELAY_EXTRA_SECONDS


@dataclass(frozen=True, slots=True)
class ReplicationState:
    """What a server says of itself and its replicas (INFO's sections server, replication and stats).

    Attributes:
        run_id: changes when the server is restarted.
        replication_id: the replication id, which changes when the server becomes a master.
        is_master: whether it is one.
        in_cluster: whether it belongs to a cluster.
        linked_replicas: replicas that follow it. In a cluster also those that are being copied to: such a one may succeed it as
            soon as it has the copy, while what was written since the copy was begun is still on its way.
        departed_replicas: how many times a replica has been linked and is no more: it grows also while nobody looks.
    """

    run_id: str
    replication_id: str
    is_master: bool
    in_cluster: bool
    linked_replicas: int
    departed_replicas: int

    @classmethod
    def parse(cls, info: Mapping[str, str]) -> "ReplicationState":
        """From INFO's fields."""
        replicas = [value for name, value in info.items() if name.startswith("slave") and "state=" in value]
        clustered = info.get("redis_mode", info.get("server_mode")) == "cluster"
        following = replicas if clustered else [replica for replica in replicas if "state=online" in replica]
        attached = int(info.get("sync_full", 0)) + int(info.get("sync_partial_ok", 0))
        return cls(
            run_id=info.get("run_id", ""),
            replication_id=info.get("master_replid", ""),
            is_master=info.get("role") == "master",
            in_cluster=clustered,
            linked_replicas=len(following),
            departed_replicas=attached - len(replicas),
        )


class UnreplicatedMaster:
    """One server's time alone, as far as it has been seen; pure, the caller brings the clock.

    Attributes:
        hold: see `hold_seconds`; None until it is known.
        believed: whether it has been alone, and the majority's, for long enough.
    """

    def __init__(self) -> None:
        self.trust_delay_seconds: float | None = None
        self.is_trusted = False
        self._seen: ReplicationState | None = None
        self._since = 0.0

    def remaining_seconds(self, state: ReplicationState, *, asked_at: float, answered_at: float) -> float:
        """How long it must go on as it stands until it is believed; 0 when it is.

        Args:
            standing: of a master without linked replicas, in a cluster that serves.
            asked_at, answered_at: between which the server said so, monotonic seconds.
        """
        if state != self._seen:
            self._seen, self._since = state, answered_at
        left = (
            math.inf
            if self.trust_delay_seconds is None
            else max(0.0, self._since + self.trust_delay_seconds - asked_at)
        )
        self.is_trusted = left == 0.0
        return left

    def confirm(self, contact_time: float) -> bool:
        """Takes the word of a majority; whether it is believed now.

        Args:
            heard_at: after which moment each of them has heard from it, monotonic seconds.
        """
        if self._seen is not None and contact_time > self._since + MAX_UNREAD_SECONDS:
            # As long as it stands so, it need not be asked about again.
            self._since = float("-inf")
            self.is_trusted = True
        return self.is_trusted

    def reset(self) -> None:
        """It has a replica, is no master any more, or its cluster does not serve: its time alone is over."""
        self._seen = None
        self.is_trusted = False
