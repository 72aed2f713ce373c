"""The Redis settings that the work manager relies on: one place for `up`, the tests and the deployment."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Every server that holds jobs.
STORE: Mapping[str, str] = MappingProxyType(
    {
        # Durable: every write is in the append-only file before its answer, on the disk within a second.
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # Nothing is ever evicted: a full server refuses writes, and the queue says so before that.
        "maxmemory-policy": "noeviction",
        # A job's hash and result stream stay in the compact encoding: 460 instead of 1,020 bytes queued.
        "hash-max-listpack-value": "4096",
        "stream-node-max-bytes": "512",
        # A replica that returns is linked at once instead of after 5 s, and seldom needs everything again.
        "repl-diskless-sync-delay": "0",
        "repl-backlog-size": "32mb",
    }
)

# Every member of a cluster, in addition.
CLUSTER: Mapping[str, str] = MappingProxyType(
    {
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": "2000",  # milliseconds; a failover then takes 3 to 5 s
        # The shards whose masters are up go on when another one is lost.
        "cluster-require-full-coverage": "no",
        # A master cut off from the majority must not hand out what it may no longer own.
        "cluster-allow-reads-when-down": "no",
        # A replica stays with its master's shards.
        "cluster-allow-replica-migration": "no",
    }
)


def render(settings: Mapping[str, str]) -> str:
    """The text of a server's configuration file: one `name "value"` a line."""
    return "".join(f"{name} {_quoted(value)}\n" for name, value in settings.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
