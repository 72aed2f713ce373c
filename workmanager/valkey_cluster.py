"""A real Valkey cluster on this machine: three masters, each with a replica, over one directory."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import redis

from workmanager import store_settings
from workmanager.errors import ServerError
from workmanager.valkey import ValkeyServer

log = logging.getLogger(__name__)

SLOTS = 16_384
_MASTERS = 3
_WAIT_SECONDS = 30.0
_POLL_SECONDS = 0.05
_FORMED_FILE = "formed.json"  # written when the cluster stood for the first time


class ValkeyCluster:
    """Six servers; the next cluster on the same directory is the same one, with its jobs and its roles."""

    def __init__(
        self, directory: Path, *, settings: Mapping[str, str] | None = None, inherit: Sequence[int] = ()
    ) -> None:
        """`settings` are added to every server's; the servers hold the file descriptors `inherit`."""
        self.directory = directory
        self.servers = tuple(
            ValkeyServer(
                directory / str(number),
                settings={**store_settings.CLUSTER, **(settings or {})},
                inherit=inherit,
            )
            for number in range(2 * _MASTERS)
        )

    @property
    def url(self) -> str:
        """All members, comma-separated, as `--redis-url` takes them."""
        return ",".join(server.url for server in self.servers)

    def start(self) -> None:
        """Returns when every slot is served and every replica is linked to its master.

        Raises:
            ServerError: a server did not start, or the cluster did not come to stand.
        """
        formed_file = self.directory / _FORMED_FILE
        formed = formed_file.exists()
        if not formed:  # a first start that was cut short has held no jobs
            shutil.rmtree(self.directory, ignore_errors=True)
        try:
            for server in self.servers:
                server.start()
            self._introduce() if formed else self._form()
            self.wait_until_healthy()
        except redis.RedisError as error:
            raise ServerError(f"the embedded cluster did not come to stand: {error}") from error
        formed_file.write_text(json.dumps({"masters": _MASTERS, "replicas": _MASTERS}))
        log.info("event=cluster.ready masters=%d directory=%s", _MASTERS, self.directory)

    def wait_until_healthy(self) -> None:
        """Returns when all six servers run, agree that every slot is served, and every replica is linked.

        Raises:
            ServerError: that was not so within 30 s.
        """
        _wait(lambda: all(map(_is_settled, self.servers)), "every slot served and every replica linked")
        _wait(lambda: all(_knows_all(server) for server in self.servers), "every server known to all")

    def repair(self) -> None:
        """Starts what ended and resumes what was paused, and returns when all is healthy."""
        for server in self.servers:
            server.resume() if server.pid else server.start()
        self.wait_until_healthy()

    def masters(self) -> tuple[ValkeyServer, ...]:
        """The servers that are masters now, by their own word; a server that does not answer is left out."""
        return tuple(server for server in self.servers if _role(server) == "master")

    def stop(self) -> None:
        """Ends all servers in order; a no-op when none runs."""
        for server in self.servers:
            server.terminate()
        for server in self.servers:
            server.stop()

    def _form(self) -> None:
        for epoch, server in enumerate(self.servers, start=1):
            server.command("CLUSTER", "SET-CONFIG-EPOCH", epoch)  # no two masters begin with the same one
        masters, replicas = self.servers[:_MASTERS], self.servers[_MASTERS:]
        bounds = [SLOTS * number // _MASTERS for number in range(_MASTERS + 1)]
        for master, (first, end) in zip(masters, itertools.pairwise(bounds), strict=True):
            master.command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        self._introduce()
        _wait(lambda: all(_knows_all(server) for server in self.servers), "every server known to all")
        for master, replica in zip(masters, replicas, strict=True):
            replica.command("CLUSTER", "REPLICATE", master.command("CLUSTER", "MYID"))

    def _introduce(self) -> None:
        """Tells every server the others' addresses: all at the first start, changed ones at a later one."""
        for one, other in itertools.permutations(self.servers, 2):
            one.command("CLUSTER", "MEET", "127.0.0.1", other.port, other.port + 1)


def _is_settled(server: ValkeyServer) -> bool:
    if "cluster_state:ok" not in server.command("CLUSTER", "INFO"):
        return False
    replication = server.command("INFO", "replication")
    if replication["role"] == "slave":
        return bool(replication["master_link_status"] == "up")
    return bool(replication["connected_slaves"] >= 1)


def _knows_all(server: ValkeyServer) -> bool:
    nodes = server.command("CLUSTER", "NODES").splitlines()
    return len(nodes) == 2 * _MASTERS and not any("handshake" in node for node in nodes)


def _role(server: ValkeyServer) -> str:
    try:
        return str(server.command("ROLE")[0])
    except redis.RedisError:
        return ""


def _wait(condition: Callable[[], bool], wanted: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            if condition():
                return
        except redis.RedisError:
            pass  # a server that is still coming up
        if time.monotonic() > deadline:
            raise ServerError(f"the embedded cluster did not come to stand: not {wanted} after {_WAIT_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
