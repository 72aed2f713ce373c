"""Redis users, one for each role, with the commands and keys of that role and no others.

`python -m jobqueue.acl --password manager=FILE --password worker=FILE …` prints the file that a server of a Redis
Cluster takes as `aclfile` (Redis 7, Valkey). FILE holds a password, of which only the SHA-256 is printed; a role that
is given twice may log in with either, so that passwords can be replaced without an interruption. A role without a
password gets no user. The user `default` is off: without a name nobody gets in.

    manager         a manager's queue: all keys of the shards, the layout, and what a server says of itself
    worker          a worker's agent: what it needs to claim, run and finish jobs; nothing of the scaler's
    replica         copies a master (`masteruser`), and nothing else
    administrator   forms and mends the cluster, and touches no key
    operator        looks and makes backups: every key may be read, none written
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobqueue import keys
from jobqueue.sharding.scripts import script

PREFIX = "{rq:*}"
"""Matches the prefix of every shard of a cluster."""

WORKER_SCRIPTS = ("claim", "release", "finish", "fail", "extend", "save_meta", "worker_heartbeat", "unregister")
MANAGER_SCRIPTS = (
    *("enqueue", "pull", "ack", "cancel", "requeue", "delete"),
    *(
        "enqueue_due",
        "reap",
        "reap_rq_executions",
        "prune",
        "expire",
        "manager_heartbeat",
        "scaler_acquire_lease",
        "scaler_record_intents",
        "scaler_save",
        "fence_worker",
    ),
)
_WORKER_KEYS = (
    PREFIX,  # as scripts get it, in KEYS[1]
    *(keys.queues(PREFIX), keys.queue(PREFIX, "*"), keys.job(PREFIX, "*"), keys.results(PREFIX, "*")),
    *(keys.execution(PREFIX, "*", "*"), keys.executions(PREFIX, "*")),
    *(keys.registry(PREFIX, status, "*") for status in ("wip", "scheduled", "finished", "failed", "canceled")),
    *(keys.workers(PREFIX), keys.workers_of_queue(PREFIX, "*"), keys.worker(PREFIX, "*")),
    *(keys.leases(PREFIX), keys.claim(PREFIX, "*"), keys.wake(PREFIX, "*"), keys.commands(PREFIX, "*")),
    *(keys.heartbeats(PREFIX), keys.clean_exit(PREFIX, "*"), keys.dependents(PREFIX)),
    *(keys.feed(PREFIX), keys.feed_wake(PREFIX), keys.feed_sequence(PREFIX)),
    *(keys.counter(PREFIX, what) for what in ("finished", "failed", "stopped", "seconds")),
)
_WORKER_READ_KEYS = (keys.suspended(PREFIX), keys.manager_heartbeat(PREFIX), keys.fence(PREFIX, "*"), keys.LAYOUT)
_SCRIPTING = frozenset({"eval", "evalsha"})
_CALL = re.compile(r"redis\.p?call\(([^,)]+)")
_COMMAND = re.compile(r"'([A-Z]+)'")


@dataclass(frozen=True, slots=True)
class Role:
    """What one kind of user may do, as Redis' ACL words it.

    Attributes:
        commands: names, subcommands after a `|`.
        keys: patterns with their `~` or `%R~`.
        channels: patterns of channels it may publish to.
    """

    commands: frozenset[str]
    keys: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


def roles() -> Mapping[str, Role]:
    """Every role by its user's name."""
    return {
        "manager": Role(
            commands=_commands_of(MANAGER_SCRIPTS)
            | _SCRIPTING
            # CLUSTER NODES tells who has heard from a master, CONFIG GET when a silent one may be succeeded.
            | {"ping", "info", "wait", "time", "cluster|slots", "cluster|info", "cluster|nodes", "config|get"}
            | {"get", "set", "del", "exists", "expire", "hget", "hgetall", "hset", "hdel", "llen", "lindex", "lrange"}
            | {"rpush", "blmove", "blpop", "smembers", "srandmember", "srem", "zcard", "zrange", "xrevrange"},
            keys=(f"~{PREFIX}", f"~{PREFIX}:*", f"~{keys.LAYOUT}", f"~{keys.LAYOUT_MARK}"),
            channels=(f"&{keys.pubsub(PREFIX, '*')}",),
        ),
        "worker": Role(
            commands=_commands_of(WORKER_SCRIPTS)
            | _SCRIPTING
            | {"ping", "time", "cluster|slots", "cluster|info", "get", "del", "expire", "exists", "llen", "hgetall"}
            | {"hset", "rpush", "blpop", "srandmember", "srem", "zrem"},
            keys=(
                *(f"~{key}" for key in _WORKER_KEYS),
                *(f"%R~{key}" for key in _WORKER_READ_KEYS),
            ),
        ),
        "replica": Role(commands=frozenset({"ping", "psync", "replconf"})),
        "administrator": Role(
            commands=frozenset(
                {"ping", "info", "role", "dbsize", "acl|load"}
                | {f"cluster|{name}" for name in ("addslotsrange", "failover", "forget", "info", "meet")}
                | {f"cluster|{name}" for name in ("myid", "nodes", "replicate", "slots")}
            )
        ),
        "operator": Role(
            commands=frozenset(
                {"ping", "info", "role", "time", "slowlog", "latency", "client|list", "cluster|info", "cluster|nodes"}
                | {"bgsave", "bgrewriteaof", "lastsave", "memory|usage", "dbsize", "scan", "type", "exists", "ttl"}
                | {"get", "hget", "hgetall", "hlen", "llen", "lrange", "smembers", "scard", "xlen", "xrange"}
                | {"zcard", "zrange", "zscore"}
            ),
            keys=("%R~*",),
        ),
    }


def render_acl_file(passwords: Mapping[str, Sequence[str]]) -> str:
    """The text of an `aclfile`: a line for each role that has passwords, and `default` switched off.

    Raises:
        ValueError: there is no such role, or a password is empty.
    """
    known = roles()
    lines = ["user default off resetpass resetkeys resetchannels -@all"]
    for name, some in passwords.items():
        if name not in known:
            raise ValueError(f"there is no role {name!r}, only {', '.join(known)}")
        if not some or not all(some):
            raise ValueError(f"the password of {name!r} is empty")
        hashes = ["#" + hashlib.sha256(password.encode()).hexdigest() for password in some]
        role = known[name]
        rights = [f"+{command}" for command in sorted(role.commands)]
        words = [*hashes, "sanitize-payload", "resetchannels", *role.channels, *role.keys, "-@all", *rights]
        lines.append(f"user {name} on {' '.join(words)}")
    return "".join(f"{line}\n" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints an ACL file; the exit code."""
    parser = argparse.ArgumentParser(
        prog="jobqueue.acl", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--password", metavar="ROLE=FILE", action="append", required=True, type=_role_and_file)
    passwords: dict[str, list[str]] = {}
    for role, path in parser.parse_args(arguments).password:
        try:
            passwords.setdefault(role, []).append(path.read_text().strip())
        except OSError as error:
            parser.error(f"the password of {role!r} cannot be read: {error}")
    try:
        sys.stdout.write(render_acl_file(passwords))
    except ValueError as error:
        parser.error(str(error))
    return 0


def _role_and_file(text: str) -> tuple[str, Path]:
    role, found, path = text.partition("=")
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not ROLE=FILE")
    return role, Path(path)


def _commands_of(names: Sequence[str]) -> frozenset[str]:
    """The commands that scripts call: Redis asks for the user's right to each of them."""
    calls = [call for name in names for call in _CALL.findall(script(name).text)]
    return frozenset(command.lower() for call in calls for command in _COMMAND.findall(call))


if __name__ == "__main__":
    sys.exit(main())
