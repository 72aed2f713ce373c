"""The Redis settings that the work manager relies on: one place for `up`, the tests and the deployment.

`python -m workmanager.store_settings --role manager --port 6379 --address 10.0.0.10 --directory /var/lib/store/6379
--max-memory 1gb` prints the configuration file of one member of a cluster on a host of its own. Redis 6.2 or newer and
Valkey take it. A program that starts such a server starts it again no sooner than `RESTART_SECONDS` after its end.

    --role manager|witness    witness: a member that holds no jobs (the third host's master, and that one's replica)
    --port PORT               for clients; the members of the cluster talk to each other on PORT + 10000
    --address IP              where clients and the other members reach it, and the only address it listens on
    --directory DIR           of its append-only file and its `nodes.conf`: a disk that outlives the host
    --max-memory SIZE         as Redis reads it (`1gb`); a witness needs none given
    --tls-certificate FILE --tls-key FILE --tls-authority FILE
                              TLS for clients, for replication and for the members among each other, which must show a
                              certificate of the authority; clients need not. There is no other port then
    --acl-file FILE           users (`ACL LOAD` reads it again); needed for any address but 127.0.0.1
    --replication-user NAME --replication-password-file FILE
                              as whom a replica copies its master. The password stands in what is printed
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

NODE_TIMEOUT_SECONDS = 2
"""A member that is silent for so long may be succeeded by its replica; that then takes 3 to 5 s."""
RESTART_SECONDS = NODE_TIMEOUT_SECONDS + 8
"""How long a member that ended by itself stays away: if it came back before its replica has succeeded it, what its disk
has not seen would be lost, although the replica has it. (systemd: `RestartSec`.)"""

_WITNESS_MEMORY = "64mb"

# Every server that holds jobs.
REDIS_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        # Durable: every write is in the append-only file before its answer, on the disk within a second.
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # Jobs come and go much faster than the data grow: with the default of 64 MB a worker at full speed has the file
        # rewritten every few seconds, which takes a core for a second or two. 256 MB load within six seconds.
        "auto-aof-rewrite-min-size": "256mb",
        # Nothing is ever evicted: a full server refuses writes, and the queue says so before that.
        "maxmemory-policy": "noeviction",
        # A job's hash and result stream stay in the compact encoding: 460 instead of 1,020 bytes queued.
        "hash-max-listpack-value": "4096",
        "stream-node-max-bytes": "512",
        # The sets of leases and running jobs are searched for every job: beyond a few entries by hash, not one by one.
        "zset-max-listpack-entries": "16",
        # A replica that returns is linked at once instead of after 5 s, and seldom needs everything again.
        "repl-diskless-sync-delay": "0",
        "repl-backlog-size": "32mb",
        # A replica that vanished without a word is given up after 4 s: until then no write can be acknowledged.
        "repl-ping-replica-period": "1",
        "repl-timeout": "4",
    }
)

# Every member of a cluster, in addition.
CLUSTER_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": str(NODE_TIMEOUT_SECONDS * 1000),
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a configuration file; the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.max_memory is None and given.role == "manager":
        parser.error("--max-memory is needed: a full server refuses writes, one without a limit takes the host down")
    if given.acl_file is None and given.address != "127.0.0.1":
        parser.error("--acl-file is needed: without users everybody who reaches the server is let in")
    if len({given.tls_certificate is None, given.tls_key is None, given.tls_authority is None}) > 1:
        parser.error("--tls-certificate, --tls-key and --tls-authority are given together, or none of them")
    if (given.replication_user is None) != (given.replication_password_file is None):
        parser.error("--replication-user and --replication-password-file are given together, or neither")
    sys.stdout.write(render(host_settings(given)))
    return 0


def host_settings(given: argparse.Namespace) -> dict[str, str]:
    """The settings of a member on a host of its own, as the module's first lines say."""
    port = str(given.port)
    settings = {
        "bind": given.address,
        "port": port,
        "dir": str(given.directory),
        "daemonize": "no",
        "maxmemory": given.max_memory or _WITNESS_MEMORY,
        **REDIS_SETTINGS,
        **CLUSTER_SETTINGS,
        "cluster-announce-ip": given.address,
    }
    if given.tls_certificate is not None:
        settings |= {
            "port": "0",
            "tls-port": port,
            "tls-cert-file": str(given.tls_certificate),
            "tls-key-file": str(given.tls_key),
            "tls-ca-cert-file": str(given.tls_authority),
            "tls-auth-clients": "no",
            "tls-replication": "yes",
            "tls-cluster": "yes",
        }
    if given.acl_file is not None:
        # The users' passwords keep strangers out; the server's own guard would keep everybody out.
        settings |= {"aclfile": str(given.acl_file), "protected-mode": "no"}
    if given.replication_user is not None:
        password = given.replication_password_file.read_text().strip()
        settings |= {"masteruser": given.replication_user, "masterauth": password}
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="store_settings", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--role", choices=("manager", "witness"), required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--max-memory")
    for name in ("--tls-certificate", "--tls-key", "--tls-authority", "--acl-file", "--replication-password-file"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--replication-user")
    return parser


if __name__ == "__main__":
    sys.exit(main())
