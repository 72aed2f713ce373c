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

HOLD_TIMEOUTS, HOLD_EXTRA_SECONDS = 1.5, 0.5
UNREAD_SECONDS = 0.5
"""For so long what a master sent may lie unread at the others: it does not prove that they are in touch."""


def hold_seconds(node_timeout_seconds: float) -> float:
    """How long a master must have been alone before it is believed."""
    return HOLD_TIMEOUTS * node_timeout_seconds + HOLD_EXTRA_SECONDS


@dataclass(frozen=True, slots=True)
class Standing:
    """What a server says of itself and its replicas (INFO's sections server, replication and stats).

    Attributes:
        process: changes when the server is restarted.
        history: the replication id, which changes when the server becomes a master.
        master: whether it is one.
        clustered: whether it belongs to a cluster.
        linked: replicas that follow it. In a cluster also those that are being copied to: such a one may succeed it as
            soon as it has the copy, while what was written since the copy was begun is still on its way.
        departed: how many times a replica has been linked and is no more: it grows also while nobody looks.
    """

    process: str
    history: str
    master: bool
    clustered: bool
    linked: int
    departed: int

    @classmethod
    def read(cls, info: Mapping[str, str]) -> "Standing":
        """From INFO's fields."""
        replicas = [value for name, value in info.items() if name.startswith("slave") and "state=" in value]
        clustered = info.get("redis_mode", info.get("server_mode")) == "cluster"
        following = replicas if clustered else [replica for replica in replicas if "state=online" in replica]
        attached = int(info.get("sync_full", 0)) + int(info.get("sync_partial_ok", 0))
        return cls(
            process=info.get("run_id", ""),
            history=info.get("master_replid", ""),
            master=info.get("role") == "master",
            clustered=clustered,
            linked=len(following),
            departed=attached - len(replicas),
        )


class LoneMaster:
    """One server's time alone, as far as it has been seen; pure, the caller brings the clock.

    Attributes:
        hold: see `hold_seconds`; None until it is known.
        believed: whether it has been alone, and the majority's, for long enough.
    """

    def __init__(self) -> None:
        self.hold: float | None = None
        self.believed = False
        self._seen: Standing | None = None
        self._since = 0.0

    def left_seconds(self, standing: Standing, *, asked_at: float, answered_at: float) -> float:
        """How long it must go on as it stands until it is believed; 0 when it is.

        Args:
            standing: of a master without linked replicas, in a cluster that serves.
            asked_at, answered_at: between which the server said so, monotonic seconds.
        """
        if standing != self._seen:
            self._seen, self._since = standing, answered_at
        left = math.inf if self.hold is None else max(0.0, self._since + self.hold - asked_at)
        self.believed = left == 0.0
        return left

    def uphold(self, heard_at: float) -> bool:
        """Takes the word of a majority; whether it is believed now.

        Args:
            heard_at: after which moment each of them has heard from it, monotonic seconds.
        """
        if self._seen is not None and heard_at > self._since + UNREAD_SECONDS:
            # As long as it stands so, it need not be asked about again.
            self._since = float("-inf")
            self.believed = True
        return self.believed

    def forget(self) -> None:
        """It has a replica, is no master any more, or its cluster does not serve: its time alone is over."""
        self._seen = None
        self.believed = False
