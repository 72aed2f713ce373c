"""What this manager sees of the Redis servers. Others see the same, so these are not to be summed over managers."""

from dataclasses import dataclass

from manager.cluster.health import ClusterState
from manager.metrics.exposition import Exposition


@dataclass(frozen=True, slots=True)
class RedisView:
    """The Redis servers, as one manager sees them.

    Attributes:
        up: whether any shard answers.
        shards_unavailable: shards that do not answer.
        servers_refused: servers that must be members of a cluster, and are not.
        files_unsound: servers that may not start again from their append-only file.
        shards_moving: shards that are being moved to another server.
    """

    up: bool = False
    shards_unavailable: int = 0
    servers_refused: int = 0
    files_unsound: int = 0
    shards_moving: int = 0


def show_redis(shown: Exposition, view: RedisView, *, tells_queue: bool) -> None:
    """Add what this manager sees of Redis, and whether it tells of the whole queue."""
    shown.gauge(
        "workmanager_tells_queue",
        "Whether this manager is the one that tells of the whole queue",
        tells_queue,
    )
    shown.gauge("workmanager_redis_up", "Whether Redis answers", view.up)
    shown.gauge(
        "workmanager_redis_servers_refused",
        "Redis servers that must be members of the cluster, and are not: see the log",
        view.servers_refused,
    )
    shown.gauge(
        "workmanager_redis_files_unsound",
        "Redis servers that may not start again from their append-only file: see the log",
        view.files_unsound,
    )
    if not view.up:
        return
    shown.gauge("workmanager_shards_unavailable", "Shards that do not answer", view.shards_unavailable)
    shown.gauge(
        "workmanager_shards_moving",
        "Shards that take no commands while they are moved to another Redis server",
        view.shards_moving,
    )


def show_cluster(shown: Exposition, state: ClusterState) -> None:
    """Add what this manager sees of the Redis Cluster that it administers."""
    shown.gauge(
        "workmanager_cluster_members_down", "Members of the Redis Cluster that do not answer", state.members_down
    )
    shown.gauge("workmanager_cluster_masters_down", "Slot ranges that no master serves", state.masters_down)
    shown.gauge(
        "workmanager_cluster_replicas_missing",
        "Masters without a replica: another failure would lose data",
        state.replicas_missing,
    )
    shown.gauge(
        "workmanager_cluster_masters_off_preferred_host",
        "Masters that run on another host than their preferred one",
        state.masters_off_preferred_host,
    )
    shown.gauge(
        "workmanager_cluster_files_unsound",
        "Members that may not start again from their append-only file: see the log",
        state.files_unsound,
    )
    shown.gauge(
        "workmanager_cluster_requires_operator",
        "Problems that an operator must solve: see the log",
        len(state.requires_operator),
    )
