"""Redis ACL users, one for each role, with only the commands and keys that the role needs.

`python -m jobqueue.acl --password manager=FILE --password worker=FILE …` prints the users file that the servers of a
Redis Cluster load as `aclfile` (Redis 7, Valkey); with `--plain`, that of one server without cluster mode. FILE holds a
password; only its SHA-256 is printed. If a role is given twice, either password works, so passwords can be replaced
without an interruption. A role without a password gets no user. The user `default` is off, so nobody can log in without
a name.

    manager         runs a manager's queue: all keys of the shards, the layout, and the server's own state
    worker          runs a worker's agent: claims, runs and finishes jobs; no access to the scaler's state
    replica         copies a master (`masteruser`), and nothing else
    administrator   forms and repairs the cluster, loads the functions that the others call; no access to keys
    operator        inspects and backs up: reads every key, writes none
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

CLUSTER_PREFIX = "{rq:*}"
"""Matches the prefix of every shard of a cluster."""
PLAIN_PREFIX = "rq"
"""The prefix of the only shard of a server without cluster mode."""

WORKER_SCRIPTS = (
    *("claim", "release", "finish", "fail", "extend", "save_meta", "worker_heartbeat", "unregister"),
    *("settle_children", "save_notes", "park_limit", "enqueue_dependents", "add_times"),
)
MANAGER_SCRIPTS = (
    *("enqueue", "pull", "ack", "cancel", "requeue", "delete", "view", "find_ended"),
    *(
        "find_due",
        "enqueue_due",
        "wake_workers",
        "pause_queue",
        "reap",
        "rescue",
        "reap_rq_executions",
        "sweep",
        "prune",
    ),
    *("expire", "forget_labels", "manager_heartbeat", "save_api_key"),
    *("register_children", "settle_parents", "settle_children", "enqueue_dependents"),
    *("create_operation", "claim_operation", "save_operation", "cancel_operation"),
    *("save_schedule", "fire_schedules"),
    *("change_workflow", "wait_again", "save_limit", "sweep_limits", "count_limited", "count_queues"),
    *("claim_callbacks", "report_callbacks", "retry_callbacks", "watch_changes"),
    *("acquire_lease", "scaler_record_intents", "scaler_save", "scaler_override"),
    *("drain_worker", "fence_worker", "hold_workers", "release_workers"),
)
_CALL = re.compile(r"(?:redis\.p?call|raw_p?call|call_own|call_shared)\(([^,)]+)")
_COMMAND = re.compile(r"'([A-Z]+)'")


@dataclass(frozen=True, slots=True)
class Role:
    """The rights of one role, in the syntax of Redis' ACL.

    Attributes:
        commands: names; a subcommand follows a `|`.
        keys: patterns with `~` (read and write) or `%R~` (read).
        channels: patterns of channels that it may publish to, or subscribe to.
    """

    commands: frozenset[str]
    keys: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()


def roles(prefix: str = CLUSTER_PREFIX) -> Mapping[str, Role]:
    """Return all roles by user name; `prefix` is the pattern of the shards' prefixes."""
    return {
        "manager": Role(
            commands=_commands_of(MANAGER_SCRIPTS)
            # Scripts are functions that the administrator has loaded. These users run no code of their own.
            | {"fcall"}
            # servers/adaptive_wait.py needs CLUSTER NODES (masters in touch) and CONFIG GET (node timeout).
            | {"ping", "info", "wait", "time", "cluster|slots", "cluster|info", "cluster|nodes", "config|get"}
            # manager/append_only: a file that the server may not start from is rewritten.
            | {"bgrewriteaof"}
            | {
                "get",
                "set",
                "del",
                "exists",
                "expire",
                "hget",
                "hgetall",
                "hkeys",
                "hrandfield",
                "hset",
                "hdel",
                "llen",
                "lindex",
                "lrange",
            }
            | {"rpush", "blmove", "blpop", "smembers", "srandmember", "srem", "zcard", "zrange", "xrevrange"}
            | {"scan", "scard", "zcount", "zscore"}
            # `maintenance/rq_commands.py`; publishing is one of the scripts' commands.
            | {"psubscribe"}
            # `audit.py`: the audit stream is read and trimmed. `inspection/changes.py` waits for changes of jobs.
            | {"xtrim", "xrange", "xlen", "xread"},
            keys=(f"~{prefix}", f"~{prefix}:*", f"~{keys.LAYOUT}", f"~{keys.LAYOUT_MARK}"),
            channels=(f"&{keys.pubsub(prefix, '*')}",),
        ),
        "worker": Role(
            commands=_commands_of(WORKER_SCRIPTS)
            | {"fcall"}
            | {"ping", "time", "cluster|slots", "cluster|info", "get", "del", "expire", "exists", "llen", "hgetall"}
            | {"hget", "hrandfield", "hset", "rpush", "blpop", "srandmember", "srem", "xrevrange", "zrem", "zcard"},
            keys=_worker_keys(prefix),
        ),
        "replica": Role(commands=frozenset({"ping", "psync", "replconf"})),
        "administrator": Role(
            commands=frozenset(
                {"ping", "info", "role", "dbsize", "acl|load", "bgrewriteaof"}
                | {f"cluster|{name}" for name in ("addslotsrange", "failover", "forget", "info", "meet")}
                | {f"cluster|{name}" for name in ("myid", "nodes", "replicate", "slots")}
                | {f"function|{name}" for name in ("delete", "list", "load")}
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


def _worker_keys(prefix: str) -> tuple[str, ...]:
    written = (
        prefix,  # as scripts get it, in KEYS[1]
        *(keys.queues(prefix), keys.queue(prefix, "*"), keys.job(prefix, "*"), keys.results(prefix, "*")),
        *(keys.execution(prefix, "*", "*"), keys.executions(prefix, "*"), keys.group(prefix, "*")),
        *(
            keys.registry(prefix, status, "*")
            for status in ("wip", "scheduled", "finished", "failed", "canceled", "ready")
        ),
        *(keys.registry(prefix, "deferred", "*"), keys.open_parents(prefix, "*"), keys.children(prefix, "*")),
        *(keys.canceled_children(prefix, "*"), keys.registering(prefix), keys.parents_to_settle(prefix)),
        *(keys.lane(prefix, "*", "*"), keys.ring(prefix, "*"), keys.later(prefix, "*"), keys.limits(prefix)),
        *(keys.limit(prefix, "*"), keys.limit_holders(prefix, "*"), keys.limit_blocked(prefix, "*")),
        keys.log(prefix, "*"),
        keys.times(prefix),
        *(keys.rate_limits(prefix), keys.rate_limit(prefix, "*")),
        *(keys.workers(prefix), keys.workers_of_queue(prefix, "*"), keys.worker(prefix, "*")),
        *(keys.leases(prefix), keys.claim(prefix, "*"), keys.wake(prefix, "*"), keys.commands(prefix, "*")),
        keys.turns(prefix),
        *(keys.heartbeats(prefix), keys.clean_exit(prefix, "*"), keys.set_aside(prefix, "*")),
        keys.ended_rq_parents(prefix),
        *(keys.feed(prefix), keys.feed_wake(prefix), keys.feed_sequence(prefix)),
        *(keys.counter(prefix, what) for what in ("finished", "failed", "stopped", "seconds")),
        *(keys.callback(prefix, "*"), keys.callbacks(prefix, "waiting"), keys.callback_hosts(prefix)),
        *(keys.callback_lane(prefix, "*"), keys.callbacks_in_flight(prefix, "*"), keys.callback_host(prefix, "*")),
        *(keys.callback_counts(prefix), keys.changes(prefix)),
    )
    read = (
        *(keys.suspended(prefix), keys.paused(prefix), keys.manager_heartbeat(prefix), keys.fence(prefix, "*")),
        *(keys.watched(prefix), keys.LAYOUT),
    )
    return (*(f"~{key}" for key in written), *(f"%R~{key}" for key in read))


def render_acl_file(passwords: Mapping[str, Sequence[str]], prefix: str = CLUSTER_PREFIX) -> str:
    """Return the text of a users file: a line for each role that has passwords, and `default` switched off.

    Args:
        passwords: by role.
        prefix: as for `roles`.

    Raises:
        ValueError: there is no such role, or a password is empty.
    """
    known = roles(prefix)
    # With all rights, although nobody can log in as it: Redis 7 checks the transactions of an append-only file, and so
    # what scripts have written, against `default` when it loads them, and drops what `default` may not do
    # (findings/redis-default-user-aof.sh).
    lines = ["user default off resetpass ~* &* +@all"]
    for name, role_passwords in passwords.items():
        if name not in known:
            raise ValueError(f"there is no role {name!r}; the roles are {', '.join(known)}")
        if not role_passwords or not all(role_passwords):
            raise ValueError(f"the password of role {name!r} is empty")
        hashes = ["#" + hashlib.sha256(password.encode()).hexdigest() for password in role_passwords]
        role = known[name]
        rights = [f"+{command}" for command in sorted(role.commands)]
        words = [*hashes, "sanitize-payload", "resetchannels", *role.channels, *role.keys, "-@all", *rights]
        lines.append(f"user {name} on {' '.join(words)}")
    return "".join(f"{line}\n" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a users file; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="jobqueue.acl", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--password", metavar="ROLE=FILE", action="append", required=True, type=_role_and_file)
    parser.add_argument("--plain", action="store_true", help="for one server without cluster mode")
    given = parser.parse_args(arguments)
    passwords: dict[str, list[str]] = {}
    for role, path in given.password:
        try:
            passwords.setdefault(role, []).append(path.read_text().strip())
        except (OSError, UnicodeDecodeError) as error:
            # Without the path, which is the password itself if somebody gave that instead.
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            parser.error(f"the file with the password of role {role!r} cannot be read: {reason}")
    try:
        sys.stdout.write(render_acl_file(passwords, PLAIN_PREFIX if given.plain else CLUSTER_PREFIX))
    except ValueError as error:
        parser.error(str(error))
    return 0


def _role_and_file(text: str) -> tuple[str, Path]:
    role, found, path = text.partition("=")
    if not found or role not in roles():
        # Without the text, which can be a password.
        raise argparse.ArgumentTypeError(f"give ROLE=FILE, with one of the roles {', '.join(roles())}")
    return role, Path(path)


def _commands_of(names: Sequence[str]) -> frozenset[str]:
    """Return the commands that scripts call: Redis checks the user's right to each of them."""
    calls = [call for name in names for call in _CALL.findall(script(name).text)]
    found = frozenset(command.lower() for call in calls for command in _COMMAND.findall(call))
    # Of the commands with subcommands, scripts call only this one.
    return found - {"memory"} | {"memory|usage"} if "memory" in found else found


if __name__ == "__main__":
    sys.exit(main())
