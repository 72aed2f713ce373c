"""The manager's settings, read from the environment."""

import os

from pydantic import Field

from jobqueue.settings import CommaSeparated, QueueSettings

MEBIBYTE = 1024 * 1024


class ManagerSettings(QueueSettings):
    """`WORKMANAGER_<NAME>` for each field."""

    api_keys: CommaSeparated = ()
    max_payload_bytes: int = Field(default=MEBIBYTE, ge=1, le=64 * MEBIBYTE)
    """A job's binary data, before base64."""
    access_log: bool = True
    cluster_hosts: CommaSeparated = ()
    """Hosts of the Redis Cluster that the managers administer, see `manager.cluster.groups.read_hosts`."""
    cluster_url: str | None = None
    """As `redis_url`, of the user that may administer the cluster; None where the queue's own user may."""
    min_workers: int = Field(default=0, ge=0)
    max_workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
