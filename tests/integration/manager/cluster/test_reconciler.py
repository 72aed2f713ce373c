"""Two managers' reconcilers and real servers (two hosts and a witness) that are killed, lost and replaced."""

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.cluster import RedisCluster

from jobqueue.servers.url import parse_redis_url
from manager.cluster.health import ClusterState
from manager.cluster.reconciler import ClusterReconciler
from manager.cluster.slot_ranges import parse_hosts
from tests.durability import until_aof_written
from tests.slot_moves import move_by_keys, owner_of
from tests.waiting import until, until_async
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

KEYS = 200
MASTER_1, MASTER_2, REPLICA_1, REPLICA_WITNESS, WITNESS = 0, 2, 3, 4, 5
"""Places in `servers`: host 1 has 0 and 1, host 2 has 2 to 4, the witness host has 5."""


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[ValkeyCluster]:
    """Six servers that do not know each other."""
    cluster = ValkeyCluster(tmp_path / "cluster")
    cluster.start()
    yield cluster
    for server in cluster.servers:
        server.kill()


@pytest.fixture
async def reconcilers(servers: ValkeyCluster) -> AsyncIterator[list[ClusterReconciler]]:
    """Two running reconcilers."""
    both = _two_reconcilers(servers)
    yield both
    for reconciler in both:
        await reconciler.stop()


def _two_reconcilers(servers: ValkeyCluster) -> list[ClusterReconciler]:
    slot_ranges = parse_hosts(servers.hosts.split(","))
    both = [ClusterReconciler(slot_ranges, parse_redis_url(servers.url).connect) for _ in range(2)]
    for reconciler in both:
        reconciler.start()
    return both


async def _until(reconcilers: list[ClusterReconciler], condition: Callable[[ClusterState], bool]) -> None:
    async def holds() -> bool:
        return all(reconciler.state is not None and condition(reconciler.state) for reconciler in reconcilers)

    await until_async(holds, wanted=f"{[reconciler.state for reconciler in reconcilers]}")


async def _until_healthy(reconcilers: list[ClusterReconciler]) -> None:
    await _until(reconcilers, lambda state: state.is_healthy)


def _host(servers: ValkeyCluster, number: int) -> tuple[ValkeyServer, ...]:
    return (servers.servers[:2], servers.servers[2:5], servers.servers[5:])[number]


def _kill_and_erase(server: ValkeyServer) -> None:
    """Kill the server and delete its data; keep its address."""
    server.kill()
    shutil.rmtree(server.directory)
    server.directory.mkdir()
    (server.directory / "port").write_text(str(server.port))


def _write(servers: ValkeyCluster) -> None:
    first = servers.servers[MASTER_1]
    # Members learn from each other that all slots are served.
    until(lambda: "cluster_slots_ok:16384" in first.command("CLUSTER", "INFO"), wanted="a member that knows all slots")
    with RedisCluster(host="127.0.0.1", port=first.port) as client:
        for number in range(KEYS):
            client.set(f"key:{number}", number)


def _surviving_keys(servers: ValkeyCluster) -> int:
    """Return how many of the written keys the masters hold."""
    return sum(map(_keys, servers.masters()))


def _keys(server: ValkeyServer) -> int:
    return int(server.command("DBSIZE"))


def _is_in_sync(master: ValkeyServer, replica: ValkeyServer) -> bool:
    """Return whether a replica has its master's data, in memory and on disk."""
    info = replica.command("INFO")
    rewritten = not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]
    return info["master_link_status"] == "up" and rewritten and _keys(replica) == _keys(master) > 0


def _is_writable(servers: ValkeyCluster, without: ValkeyServer | None = None) -> bool:
    """Return whether keys of both managers' masters can be written."""
    running = [server for server in servers.servers if server.pid and server is not without]
    return all(any(_accepts_write(server, f"{{rq:{number}}}") for server in running) for number in range(6))


def _accepts_write(server: ValkeyServer, key: str) -> bool:
    try:
        return bool(server.command("EVAL", "return redis.call('DEL', KEYS[1])", 1, key) == 0)
    except redis.RedisError:
        return False


async def test_two_managers_form_one_cluster_of_empty_servers(
    servers: ValkeyCluster, reconcilers: list[ClusterReconciler]
) -> None:
    await _until_healthy(reconcilers)
    preferred_masters = {servers.servers[MASTER_1], servers.servers[MASTER_2], servers.servers[WITNESS]}
    assert set(servers.masters()) == preferred_masters
    assert {len(server.command("CLUSTER", "NODES").splitlines()) for server in servers.servers} == {6}
    witness = servers.servers[WITNESS].command("CLUSTER", "NODES").splitlines()
    assert next(line for line in witness if "myself" in line).split()[8:] == ["16383"]


async def test_each_host_in_turn_can_fail_and_return(
    servers: ValkeyCluster, reconcilers: list[ClusterReconciler]
) -> None:
    """Without failback the second loss would take the majority away: host 2 would hold two masters of three."""
    await _until_healthy(reconcilers)
    await asyncio.to_thread(_write, servers)
    for number in (0, 1, 2):
        for server in _host(servers, number):
            server.kill()
        await asyncio.to_thread(until, lambda: _is_writable(servers), wanted="writes after a loss")
        # Otherwise a state from before the loss could be mistaken for the recovery.
        await _until(reconcilers, lambda state: not state.is_healthy)
        for server in _host(servers, number):
            await asyncio.to_thread(server.start)
        await _until_healthy(reconcilers)
        assert _surviving_keys(servers) == KEYS
        assert set(_host(servers, number)) & set(servers.masters())


async def test_a_host_hands_its_slots_over_before_it_stops(
    servers: ValkeyCluster, reconcilers: list[ClusterReconciler]
) -> None:
    """Writes pause only for the hand-over, although the host does not come back."""
    await _until_healthy(reconcilers)
    await asyncio.to_thread(_write, servers)
    command = [sys.executable, "-m", "manager.cluster", "--hand-over", f"127.0.0.1:{servers.servers[MASTER_1].port}"]
    environ = {"WORKMANAGER_CLUSTER_HOSTS": servers.hosts, "WORKMANAGER_REDIS_URL": servers.url}
    program = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environ})
    assert await program.wait() == 0
    assert servers.servers[MASTER_1].command("ROLE")[0] == "slave"
    assert servers.servers[REPLICA_1] in servers.masters()
    servers.servers[MASTER_1].stop()
    assert _is_writable(servers)
    assert _surviving_keys(servers) == KEYS
    await asyncio.to_thread(servers.servers[MASTER_1].start)
    # The last state can still be from before the restart.
    await asyncio.to_thread(until, lambda: servers.servers[MASTER_1] in servers.masters(), wanted="the failback")


async def test_a_lost_host_is_replaced_by_an_empty_one(
    servers: ValkeyCluster, reconcilers: list[ClusterReconciler]
) -> None:
    await _until_healthy(reconcilers)
    await asyncio.to_thread(_write, servers)
    for server in _host(servers, 1):
        _kill_and_erase(server)
    await _until(reconcilers, lambda state: state.masters_down == 0 and state.members_down == 3)
    for server in _host(servers, 1):
        await asyncio.to_thread(server.start)
    await _until_healthy(reconcilers)
    assert _surviving_keys(servers) == KEYS
    assert servers.servers[MASTER_2] in servers.masters()

    def is_forgotten() -> bool:
        return {len(server.command("CLUSTER", "NODES").splitlines()) for server in servers.servers} == {6}

    await asyncio.to_thread(until, is_forgotten, wanted="all members to forget the lost ones")


async def test_after_a_power_cut_an_operator_can_promote_the_replica_of_a_lost_master(
    servers: ValkeyCluster, reconcilers: list[ClusterReconciler]
) -> None:
    """Redis lets no replica take over if it has had no link to the master since it started."""
    await _until_healthy(reconcilers)
    await asyncio.to_thread(_write, servers)
    master, replica = servers.servers[MASTER_1], servers.servers[REPLICA_1]
    await asyncio.to_thread(until, lambda: _is_in_sync(master, replica), wanted="the replica to be in sync")
    for server in servers.servers:
        await asyncio.to_thread(until_aof_written, server)
    for server in servers.servers:
        server.kill()
    for server in servers.servers[1:]:
        await asyncio.to_thread(server.start)
    problem = (
        f"slots 0-8191 wait for 127.0.0.1:{master.port}: its replica at 127.0.0.1:{replica.port} has had no link to it "
        "since it started"
    )
    await _until(reconcilers, lambda state: any(each.startswith(problem) for each in state.requires_operator))
    assert replica.command("CLUSTER", "FAILOVER", "FORCE") == "OK"
    await asyncio.to_thread(until, lambda: _is_writable(servers), wanted="writes to all slots")
    assert _surviving_keys(servers) == KEYS
    _kill_and_erase(master)
    await asyncio.to_thread(master.start)
    await _until_healthy(reconcilers)
    assert master in servers.masters()
    assert _surviving_keys(servers) == KEYS


async def test_slots_that_a_person_moves_stay_where_they_are(
    servers: ValkeyCluster, reconcilers: list[ClusterReconciler], caplog: pytest.LogCaptureFixture
) -> None:
    """Also the first slot of a range: `redis-cli --cluster reshard` begins with it."""
    await _until_healthy(reconcilers)
    await asyncio.to_thread(_write, servers)
    caplog.set_level(logging.INFO)
    replica_of = servers.servers[REPLICA_1].command("ROLE")[2]
    for slot in (0, 1):
        await asyncio.to_thread(move_by_keys, servers.servers, slot, servers.servers[MASTER_2])
    states = [await reconciler.reconcile() for reconciler in reconcilers for _ in range(4)]
    assert all(state.is_healthy for state in states), states
    assert [message for message in caplog.messages if "event=cluster_command" in message] == []
    assert servers.servers[REPLICA_1].command("ROLE")[2] == replica_of
    assert owner_of(servers.servers, 0) is servers.servers[MASTER_2]
    assert _surviving_keys(servers) == KEYS


async def test_a_member_with_other_data_is_left_alone(
    servers: ValkeyCluster, reconcilers: list[ClusterReconciler]
) -> None:
    await _until_healthy(reconcilers)
    for reconciler in reconcilers:
        await reconciler.stop()
    stray = servers.servers[REPLICA_WITNESS]
    _kill_and_erase(stray)
    await asyncio.to_thread(stray.start)
    stray.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

    def set_there() -> bool:
        try:
            return bool(stray.command("SET", "precious", 1))
        except redis.ResponseError:  # a cluster takes no writes in its first seconds
            return False

    await asyncio.to_thread(until, set_there)
    reconcilers[:] = _two_reconcilers(servers)
    await _until(reconcilers, lambda state: bool(state.requires_operator))
    await asyncio.to_thread(until, lambda: _is_writable(servers, without=stray), wanted="the others to go on")
    assert stray.command("GET", "precious") == "1"
    assert len(stray.command("CLUSTER", "NODES").splitlines()) == 1
