"""Settings of the Redis servers ("stores") for `up`, the tests and the deployment.

`python -m workmanager.store_settings --role manager --port 6379 --address 10.0.0.10 --directory /var/lib/store/6379
--max-memory 1gb` prints the configuration file of one cluster member that has a host of its own, or, with `--plain`
instead of `--role manager`, of one server without cluster mode. It works with Redis 7 or newer and with Valkey. After a
cluster member ends, restart it no sooner than `RESTART_SECONDS` later.

    --plain                   one server without cluster mode
    --role manager|witness    of a cluster. witness: a member that holds no jobs (the master on the third host, and its
                              replica)
    --port PORT               for clients; members talk to each other on PORT + 10000
    --address IP              for clients and other members; the server listens on no other address
    --directory DIR           for the append-only file and `nodes.conf`; on a disk that outlives the host
    --max-memory SIZE         as Redis reads it (`1gb`); optional for a witness
    --tls-certificate FILE --tls-key FILE --tls-authority FILE
                              TLS for clients, replication and the cluster bus; no plain port remains. Members must
                              present a certificate of the authority; clients need none
    --acl-file FILE           users (`ACL LOAD` reads it again); required unless the address is 127.0.0.1
    --replication-user NAME --replication-password-file FILE
                              user with which a replica copies its master. The output contains the password
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

NODE_TIMEOUT_SECONDS = 1.2
"""After this time without an answer from a master, its replica may take over; a pause of a second causes no failover
(docs/decisions/0051)."""
RESTART_SECONDS = 10
"""Pause before a member that ended by itself is started again (systemd: `RestartSec`).

If a master returned before its replica took over, writes that its disk has not seen would be lost, although the replica
has them."""
WITNESS_MEMORY = "64mb"
REDIS_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        # Durable: every write is in the append-only file before its answer, and on the disk within a second.
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # Jobs come and go much faster than the data grow. With the default of 64 MB, a worker at full speed causes a
        # rewrite every few seconds, which occupies a core for a second or two. 256 MB load within six seconds.
        "auto-aof-rewrite-min-size": "256mb",
        # Nothing is ever evicted. A full server refuses writes; the queue refuses jobs before that.
        "maxmemory-policy": "noeviction",
        # A job's hash stays in the compact encoding: 460 instead of 1,020 bytes queued.
        "hash-max-listpack-value": "4096",
        # A stream's first entry gets this much memory at once, however small it is, and a job's result is the only
        # entry of its stream: 1,337 bytes for a finished job, 1,600 with 512, 5,780 with the server's default.
        "stream-node-max-bytes": "256",
        # The sets of leases and running jobs are searched for every job. Beyond a few entries, search them by hash
        # instead of one by one.
        "zset-max-listpack-entries": "16",
        # A returning replica is linked at once instead of after 5 s, and rarely needs a full copy.
        "repl-diskless-sync-delay": "0",
        "repl-backlog-size": "32mb",
        # A replica that vanished without closing its connection is dropped after 4 s. Until then no write can be
        # acknowledged.
        "repl-ping-replica-period": "1",
        "repl-timeout": "4",
    }
)
"""Of every server that holds jobs."""

CLUSTER_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "cluster-enabled": "yes",
        "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": str(int(NODE_TIMEOUT_SECONDS * 1000)),
        # A replica takes over from its master up to 24 s after their link has ended, as with the default of 10 and a
        # node timeout of 2 s: long enough for a witness that is restarted at the same time.
        "cluster-replica-validity-factor": "18",
        # Shards whose masters are up stay available when another master is lost.
        "cluster-require-full-coverage": "no",
        # A master cut off from the majority must not serve data that it may no longer own.
        "cluster-allow-reads-when-down": "no",
        # A replica stays with its master's shards.
        "cluster-allow-replica-migration": "no",
    }
)
"""Of every cluster member, in addition to `REDIS_SETTINGS`."""


def render(settings: Mapping[str, str]) -> str:
    """Return the text of a configuration file: one `name "value"` per line."""
    return "".join(f"{name} {_quoted(value)}\n" for name, value in settings.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a configuration file and return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.max_memory is None and options.role != "witness":
        parser.error("--max-memory is required but for a witness: without a limit, Redis can exhaust the host's memory")
    if options.acl_file is None and options.address != "127.0.0.1":
        parser.error(f"--acl-file is required for --address {options.address}: without users, anyone can log in")
    if len({options.tls_certificate is None, options.tls_key is None, options.tls_authority is None}) > 1:
        parser.error("give all of --tls-certificate, --tls-key and --tls-authority, or none of them")
    if (options.replication_user is None) != (options.replication_password_file is None):
        parser.error("give both --replication-user and --replication-password-file, or neither")
    sys.stdout.write(render(host_settings(options)))
    return 0


def host_settings(options: argparse.Namespace) -> dict[str, str]:
    """Return the settings of a server on a host of its own; the module's docstring explains the options."""
    port = str(options.port)
    settings = {
        "bind": options.address,
        "port": port,
        "dir": str(options.directory),
        "daemonize": "no",
        "maxmemory": options.max_memory or WITNESS_MEMORY,
        **REDIS_SETTINGS,
    }
    if not options.plain:
        settings |= {**CLUSTER_SETTINGS, "cluster-announce-ip": options.address}
    if options.tls_certificate is not None:
        settings |= {
            "port": "0",
            "tls-port": port,
            "tls-cert-file": str(options.tls_certificate),
            "tls-key-file": str(options.tls_key),
            "tls-ca-cert-file": str(options.tls_authority),
            "tls-auth-clients": "no",
            "tls-replication": "yes",
        }
        if not options.plain:
            settings |= {"tls-cluster": "yes"}
    if options.acl_file is not None:
        # The users' passwords keep strangers out. Protected mode would keep out every other host.
        settings |= {"aclfile": str(options.acl_file), "protected-mode": "no"}
    if options.replication_user is not None:
        password = options.replication_password_file.read_text().strip()
        settings |= {"masteruser": options.replication_user, "masterauth": password}
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="store_settings", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--role", choices=("manager", "witness"))
    kind.add_argument("--plain", action="store_true")
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
