"""Move a hash slot from one master of a cluster to another, in both ways that operators use."""

import time
from collections.abc import Sequence
from typing import Any

import redis

from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

MIGRATE_TIMEOUT_MS = 5_000
KEYS_PER_STEP = 10


def owner_of(servers: Sequence[ValkeyServer], slot: int) -> ValkeyServer:
    """Return the master that serves the slot."""
    ranges: Any = until(lambda: servers[0].command("CLUSTER", "SLOTS"))
    port = next(int(master[1]) for first, last, master, *_ in ranges if first <= slot <= last)
    return next(server for server in servers if server.port == port)


def move_by_keys(servers: Sequence[ValkeyServer], slot: int, target: ValkeyServer, pause_seconds: float = 0.0) -> float:
    """Move the slot key by key, as `redis-cli --cluster reshard` does; return the seconds that it took.

    Args:
        pause_seconds: after each step, as if there were many keys.
    """
    source = owner_of(servers, slot)
    source_id, target_id = (str(server.command("CLUSTER", "MYID")) for server in (source, target))
    started_at = time.monotonic()
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    while keys := source.command("CLUSTER", "GETKEYSINSLOT", slot, KEYS_PER_STEP):
        source.command("MIGRATE", "127.0.0.1", target.port, "", 0, MIGRATE_TIMEOUT_MS, "KEYS", *keys)
        time.sleep(pause_seconds)
    # The new master first: if the source forgot the slot before, nobody would have it.
    target.command("CLUSTER", "SETSLOT", slot, "NODE", target_id)
    source.command("CLUSTER", "SETSLOT", slot, "NODE", target_id)
    seconds = time.monotonic() - started_at
    _until_known(servers, slot, target)
    return seconds


def move_at_once(servers: Sequence[ValkeyServer], slot: int, target: ValkeyServer) -> float:
    """Move the slot by a copy and one hand-over (Valkey 9); return the seconds that it took."""
    source = owner_of(servers, slot)
    target_id = str(target.command("CLUSTER", "MYID"))
    started_at = time.monotonic()
    source.command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target_id)
    _until_known(servers, slot, target)
    return time.monotonic() - started_at


def can_move_at_once(server: ValkeyServer) -> bool:
    """Return whether the server knows `CLUSTER MIGRATESLOTS`."""
    try:
        server.command("CLUSTER", "GETSLOTMIGRATIONS")
    except redis.ResponseError:
        return False
    return True


def _until_known(servers: Sequence[ValkeyServer], slot: int, target: ValkeyServer) -> None:
    until(
        lambda: all(owner_of([server, *servers], slot) is target for server in servers),
        wanted=f"a cluster that knows the new master of slot {slot}",
    )
