"""Two managers' stewards over real servers that are killed, lost and replaced, laid out as two hosts and a witness."""

import asyncio
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
from tests.waiting import until, until_async
from workmanager.local.valkey import ValkeyServer
from workmanager.local.valkey_cluster import ValkeyCluster

KEYS = 200


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[ValkeyCluster]:
    """Six servers that know nothing of each other."""
    cluster = ValkeyCluster(tmp_path / "cluster")
    cluster.start()
    yield cluster
    for server in cluster.servers:
        server.kill()


@pytest.fixture
async def stewards(servers: ValkeyCluster) -> AsyncIterator[list[ClusterReconciler]]:
    """Two, at work."""
    both = _two_stewards(servers)
    yield both
    for steward in both:
        await steward.stop()


def _two_stewards(servers: ValkeyCluster) -> list[ClusterReconciler]:
    groups = parse_hosts(servers.hosts.split(","))
    both = [ClusterReconciler(groups, parse_redis_url(servers.url).connect) for _ in range(2)]
    for steward in both:
        steward.start()
    return both


async def _until(stewards: list[ClusterReconciler], condition: Callable[[ClusterState], bool]) -> None:
    async def seen() -> bool:
        return all(steward.state is not None and condition(steward.state) for steward in stewards)

    await until_async(seen, wanted=f"{[steward.state for steward in stewards]}")


async def _until_whole(stewards: list[ClusterReconciler]) -> None:
    await _until(stewards, lambda state: state.is_healthy)


def _host(servers: ValkeyCluster, number: int) -> tuple[ValkeyServer, ...]:
    return (servers.servers[:2], servers.servers[2:5], servers.servers[5:])[number]


def _empty(server: ValkeyServer) -> None:
    """Kills it, and leaves nothing of it but its address."""
    server.kill()
    shutil.rmtree(server.directory)
    server.directory.mkdir()
    (server.directory / "port").write_text(str(server.port))


def _write(servers: ValkeyCluster) -> None:
    first = servers.servers[0]
    # That all slots are served goes round among the members.
    until(lambda: "cluster_slots_ok:16384" in first.command("CLUSTER", "INFO"), wanted="a member that knows all slots")
    with RedisCluster(host="127.0.0.1", port=first.port) as client:
        for number in range(KEYS):
            client.set(f"key:{number}", number)


def _kept(servers: ValkeyCluster) -> int:
    """How many of the written keys masters hold."""
    return sum(map(_keys, servers.masters()))


def _keys(server: ValkeyServer) -> int:
    return int(server.command("DBSIZE"))


def _is_copied(master: ValkeyServer, replica: ValkeyServer) -> bool:
    """Whether a replica has what its master has, on its disk, too."""
    told = replica.command("INFO")
    rewritten = not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"]
    return told["master_link_status"] == "up" and rewritten and _keys(replica) == _keys(master) > 0


def _writable(servers: ValkeyCluster, without: ValkeyServer | None = None) -> bool:
    """Whether a key of either manager's master can be written."""
    running = [server for server in servers.servers if server.pid and server is not without]
    return all(any(_takes(server, f"{{rq:{number}}}") for server in running) for number in range(6))


def _takes(server: ValkeyServer, key: str) -> bool:
    try:
        return bool(server.command("EVAL", "return redis.call('DEL', KEYS[1])", 1, key) == 0)
    except redis.RedisError:
        return False


async def test_two_managers_form_one_cluster_of_empty_servers(
    servers: ValkeyCluster, stewards: list[ClusterReconciler]
) -> None:
    await _until_whole(stewards)
    homes = {servers.servers[0], servers.servers[2], servers.servers[5]}
    assert set(servers.masters()) == homes
    assert {len(server.command("CLUSTER", "NODES").splitlines()) for server in servers.servers} == {6}
    witness = servers.servers[5].command("CLUSTER", "NODES").splitlines()
    assert next(line for line in witness if "myself" in line).split()[8:] == ["16383"]


async def test_each_host_in_turn_can_fail_and_return(
    servers: ValkeyCluster, stewards: list[ClusterReconciler]
) -> None:
    """Without a person the second loss would be the end: host 2 would hold two masters of three."""
    await _until_whole(stewards)
    await asyncio.to_thread(_write, servers)
    for number in (0, 1, 2):
        for server in _host(servers, number):
            server.kill()
        await asyncio.to_thread(until, lambda: _writable(servers), wanted="writes after a loss")
        # Else what the stewards saw before it could be taken for the recovery.
        await _until(stewards, lambda state: not state.is_healthy)
        for server in _host(servers, number):
            await asyncio.to_thread(server.start)
        await _until_whole(stewards)
        assert _kept(servers) == KEYS
        assert set(_host(servers, number)) & set(servers.masters())


async def test_a_host_hands_its_slots_over_before_it_stops(
    servers: ValkeyCluster, stewards: list[ClusterReconciler]
) -> None:
    """While its master is away for good, nobody waits for longer than the hand-over takes."""
    await _until_whole(stewards)
    await asyncio.to_thread(_write, servers)
    command = [sys.executable, "-m", "manager.cluster", "--hand-over", f"127.0.0.1:{servers.servers[0].port}"]
    environ = {"WORKMANAGER_CLUSTER_HOSTS": servers.hosts, "WORKMANAGER_REDIS_URL": servers.url}
    program = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environ})
    assert await program.wait() == 0
    assert servers.servers[0].command("ROLE")[0] == "slave"
    assert servers.servers[3] in servers.masters()
    servers.servers[0].stop()
    assert _writable(servers)
    assert _kept(servers) == KEYS
    await asyncio.to_thread(servers.servers[0].start)
    # What the stewards saw last may still be from before the restart.
    await asyncio.to_thread(until, lambda: servers.servers[0] in servers.masters(), wanted="the failback")


async def test_a_lost_host_is_replaced_by_an_empty_one(
    servers: ValkeyCluster, stewards: list[ClusterReconciler]
) -> None:
    await _until_whole(stewards)
    await asyncio.to_thread(_write, servers)
    for server in _host(servers, 1):
        _empty(server)
    await _until(stewards, lambda state: state.masters_down == 0 and state.members_down == 3)
    for server in _host(servers, 1):
        await asyncio.to_thread(server.start)
    await _until_whole(stewards)
    assert _kept(servers) == KEYS
    assert servers.servers[2] in servers.masters()

    def forgotten() -> bool:
        return {len(server.command("CLUSTER", "NODES").splitlines()) for server in servers.servers} == {6}

    await asyncio.to_thread(until, forgotten, wanted="no trace of the lost")


async def test_after_a_power_cut_an_operator_can_promote_the_replica_of_a_lost_master(
    servers: ValkeyCluster, stewards: list[ClusterReconciler]
) -> None:
    """Redis lets no replica succeed a master that it has not heard from since its own start."""
    await _until_whole(stewards)
    await asyncio.to_thread(_write, servers)
    master, replica = servers.servers[0], servers.servers[3]
    await asyncio.to_thread(until, lambda: _is_copied(master, replica), wanted="a copy on the replica's disk")
    for server in servers.servers:
        await asyncio.to_thread(until_aof_written, server)
    for server in servers.servers:
        server.kill()
    for server in servers.servers[1:]:
        await asyncio.to_thread(server.start)
    told = (
        f"slots 0-8191 wait for 127.0.0.1:{master.port}: its replica at 127.0.0.1:{replica.port} has had no link to it "
        "since its own start"
    )
    await _until(stewards, lambda state: any(trouble.startswith(told) for trouble in state.requires_operator))
    assert replica.command("CLUSTER", "FAILOVER", "FORCE") == "OK"
    await asyncio.to_thread(until, lambda: _writable(servers), wanted="writes to all slots")
    assert _kept(servers) == KEYS
    _empty(master)
    await asyncio.to_thread(master.start)
    await _until_whole(stewards)
    assert master in servers.masters()
    assert _kept(servers) == KEYS


async def test_a_member_with_other_data_is_left_alone(
    servers: ValkeyCluster, stewards: list[ClusterReconciler]
) -> None:
    await _until_whole(stewards)
    for steward in stewards:
        await steward.stop()
    stray = servers.servers[4]
    _empty(stray)
    await asyncio.to_thread(stray.start)
    stray.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

    def set_there() -> bool:
        try:
            return bool(stray.command("SET", "precious", 1))
        except redis.ResponseError:  # a cluster takes no writes in its first seconds
            return False

    await asyncio.to_thread(until, set_there)
    stewards[:] = _two_stewards(servers)
    await _until(stewards, lambda state: bool(state.requires_operator))
    await asyncio.to_thread(until, lambda: _writable(servers, without=stray), wanted="the others to go on")
    assert stray.command("GET", "precious") == "1"
    assert len(stray.command("CLUSTER", "NODES").splitlines()) == 1
