"""Connections over TLS: which servers are trusted, and the errors for the others."""

import subprocess
from pathlib import Path

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.tls_redis import TlsServer
from workmanager.local import ports


async def test_any_seed_leads_to_the_cluster(tls_servers: tuple[TlsServer, TlsServer], managers: Shards) -> None:
    """The first seed does not exist, the second is a replica. Only one of them has user, password and options."""
    master, replica = tls_servers
    user, options = master.url("manager").split("127.0.0.1")[0], master.url("manager").split("?")[1]
    url = f"{user}127.0.0.1:{ports.free_port()},127.0.0.1:{replica.port}?{options}"
    shards = await Shards.connect(url)
    assert shards.topology.clustered
    assert len(shards) == 2
    await enqueue_jobs(shards.all[0], "a")
    await shards.close()


async def test_an_acknowledged_enqueue_has_reached_the_replica(
    tls_servers: tuple[TlsServer, TlsServer], managers: Shards
) -> None:
    _, replica = tls_servers
    with replica.client("operator") as client:
        before = client.dbsize()
        await enqueue_jobs(managers.all[0], "a")
        assert client.dbsize() > before


@pytest.mark.parametrize("role", ["manager", "worker"])
async def test_a_wrong_password_is_named_in_the_error(master: TlsServer, role: str) -> None:
    with pytest.raises(ShardUnavailable, match=r"(?i)password"):
        await Shards.connect(master.url(role).replace(f"{role}:", f"{role}:x"))


@pytest.fixture
def other_authority(tmp_path: Path) -> Path:
    """The certificate of an authority that has not signed the servers' certificate."""
    path = tmp_path / "other.pem"
    arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x -keyout /dev/null"
    subprocess.run(["openssl", *arguments.split(), "-out", str(path)], check=True, capture_output=True)
    return path


async def test_a_certificate_of_an_unknown_authority_is_rejected(master: TlsServer, other_authority: Path) -> None:
    address, _ = master.url("manager").split("?")
    with pytest.raises(ShardUnavailable, match=r"(?i)certificate"):
        await Shards.connect(f"{address}?ssl_ca_certs={other_authority}")


async def test_a_certificate_for_another_host_is_rejected_unless_the_check_is_off(master: TlsServer) -> None:
    url = master.url("manager").replace("@127.0.0.1", "@localhost")
    with pytest.raises(ShardUnavailable, match=r"(?i)certificate.*localhost|localhost.*certificate"):
        await Shards.connect(url)
    shards = await Shards.connect(f"{url}&ssl_check_hostname=no")
    await shards.close()


async def test_a_connection_without_tls_fails(master: TlsServer) -> None:
    url = master.url("manager").replace("rediss://", "redis://").split("?")[0]
    with pytest.raises(ShardUnavailable):
        await Shards.connect(url)
