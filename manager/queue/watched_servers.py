"""What is known of the Redis servers. The main process of a manager watches them, and tells its siblings."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from manager.cluster.reconciler import ClusterReconciler
from manager.queue.connection import QueueConnection
from manager.siblings.channel import ANSWER_SECONDS
from manager.siblings.group import ProcessGroup


@dataclass(frozen=True, slots=True)
class SeenServers:
    """What was seen last.

    Attributes:
        unsound_files: why a server may not start again from its append-only file, by address.
        cluster: the fields of `ClusterState`; None if this manager administers no cluster, or has not seen it yet.
    """

    unsound_files: Mapping[str, str] = field(default_factory=dict)
    cluster: Mapping[str, Any] | None = None


class WatchedServers:
    """Knows what was seen, in each process of a manager.

    Args:
        reconciler: of the cluster that this manager administers, if it does.
    """

    def __init__(self, queue: QueueConnection, reconciler: ClusterReconciler | None, group: ProcessGroup) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._group = group
        if not group.is_sibling:
            group.answerers["watched"] = self._seen_for_sibling

    async def seen(self, seconds: float = ANSWER_SECONDS) -> SeenServers:
        """Return what was seen.

        Args:
            seconds: how long a sibling waits for the main process.

        Raises:
            NoAnswer: the main process does not answer.
        """
        if self._group.is_sibling:
            return SeenServers(**await self._group.ask_main("watched", seconds=seconds))
        watcher = self._queue if self._reconciler is None else self._reconciler
        cluster = None if self._reconciler is None or self._reconciler.state is None else asdict(self._reconciler.state)
        return SeenServers(dict(watcher.unsound_files), cluster)

    async def _seen_for_sibling(self, _: object) -> Mapping[str, Any]:
        return asdict(await self.seen())
