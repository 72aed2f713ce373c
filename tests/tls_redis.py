"""A Redis master and replica as in a deployment: TLS on every port, one user per role, user `default` disabled.

The embedded Valkey has no TLS. These servers run `valkey-server` or `redis-server` from the PATH, or else
`redis-check-rdb` of Debian's `redis-tools`, which is the same program under another name (`scripts/test.sh` installs
it if run as root).
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import redis

from jobqueue.acl import render_acl_file, roles
from jobqueue.servers.topology import Topology
from manager.cluster.function_loader import FunctionLoader
from tests.ports import pick_port
from tests.waiting import until
from workmanager.local import ports

PASSWORDS = {role: f"{role}'s/secret" for role in roles()}
_BINARY_NAMES = ("valkey-server", "redis-server", "redis-check-rdb")
_BUS_OFFSET = 10_000


def find_tls_server_binary() -> str | None:
    """Return the path of a server binary with TLS support; None if there is none."""
    for name in _BINARY_NAMES:
        path = shutil.which(name)
        # A build without TLS does not contain the setting's name.
        if path is not None and b"tls-cert-file" in Path(path).read_bytes():
            return path
    return None


class TlsServer:
    """One Redis server with TLS, configured by the output of `workmanager.store_settings`."""

    def __init__(self, program: str, directory: Path, certificates: Path, users: Path) -> None:
        self.port = pick_port(bus_offset=_BUS_OFFSET)
        self._certificates = certificates
        directory.mkdir()
        password = directory / "replica.password"
        password.write_text(PASSWORDS["replica"])
        arguments = ["--role", "manager", "--port", str(self.port), "--address", "127.0.0.1", "--max-memory", "100mb"]
        arguments += ["--directory", str(directory), "--acl-file", str(users)]
        for option, name in (("certificate", "server.pem"), ("key", "server.key"), ("authority", "ca.pem")):
            arguments += [f"--tls-{option}", str(certificates / name)]
        arguments += ["--replication-user", "replica", "--replication-password-file", str(password)]
        with (directory / "redis.conf").open("wb") as settings:
            subprocess.run(
                [sys.executable, "-m", "workmanager.store_settings", *arguments], stdout=settings, check=True
            )
        with (directory / "log").open("wb") as output:
            self._process = subprocess.Popen(
                ["redis-server", str(directory / "redis.conf")], executable=program, stdout=output, stderr=output
            )
        # Until it listens, the next server could pick the same port.
        until(self._listens, wanted=f"a server that listens ({directory / 'log'})")

    def url(self, role: str) -> str:
        """Return the server's URL, as in `WORKMANAGER_REDIS_URL`, for the user of that role."""
        password = PASSWORDS[role].replace("/", "%2F")
        return f"rediss://{role}:{password}@127.0.0.1:{self.port}?ssl_ca_certs={self._certificates / 'ca.pem'}"

    def client(self, role: str | None) -> redis.Redis:
        """Return a redis-py client logged in as that role, or not logged in if None."""
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
            username=role,
            password=PASSWORDS[role] if role else None,
            ssl=True,
            ssl_ca_certs=str(self._certificates / "ca.pem"),
            decode_responses=True,
        )

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        assert self._process.poll() is None, "the server has ended"
        return not ports.is_free(self.port)


def start_servers(program: str, directory: Path, names: Sequence[str]) -> list[TlsServer]:
    """Start separate servers that share certificates and users."""
    make_certificates(directory)
    users = directory / "users.acl"
    users.write_text(render_acl_file({role: [password] for role, password in PASSWORDS.items()}))
    return [TlsServer(program, directory / name, directory, users) for name in names]


def run_tls_cluster(program: str, directory: Path) -> Iterator[tuple[TlsServer, TlsServer]]:
    """Run a cluster of one master, which owns every slot, and its replica."""
    master, replica = start_servers(program, directory, ("master", "replica"))
    try:
        with master.client("administrator") as one, replica.client("administrator") as other:
            until(
                lambda: _accepts_commands(one) and _accepts_commands(other), wanted="two servers that accept commands"
            )
            one.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
            other.execute_command("CLUSTER MEET", "127.0.0.1", master.port, master.port + _BUS_OFFSET)
            master_id = one.execute_command("CLUSTER MYID")
            until(lambda: _replicates(other, master_id), wanted="a replica that knows its master")
            until(lambda: other.info("replication")["master_link_status"] == "up", wanted="a linked replica")
            until(lambda: one.execute_command("CLUSTER INFO")["cluster_state"] == "ok", wanted="a cluster in state ok")
        asyncio.run(load_functions(master.url("administrator")))
        yield master, replica
    finally:
        master.stop()
        replica.stop()


async def load_functions(url: str) -> None:
    """Load what managers and workers call, as a manager does (`WORKMANAGER_CLUSTER_URL`)."""
    loader = FunctionLoader(Topology(url))
    await loader.load()
    await loader.stop()


def names_of(libraries: Any) -> set[str]:
    """Return the names of the libraries in a reply to FUNCTION LIST."""
    return {library[1] for library in libraries}


def _accepts_commands(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _replicates(client: redis.Redis, master_id: str) -> bool:
    try:
        return bool(client.execute_command("CLUSTER REPLICATE", master_id))
    except redis.ResponseError:
        return False


def make_certificates(directory: Path) -> None:
    """Write a certificate authority, `ca.pem`, and a certificate for 127.0.0.1, `server.pem` with `server.key`."""
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    _openssl(directory, *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=tests")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE")
    names = ("-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1")
    _openssl(directory, *curve, "-keyout", "server.key", "-out", "server.pem", *signed, *names)


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", "req", "-x509", *arguments], cwd=directory, check=True, capture_output=True)
