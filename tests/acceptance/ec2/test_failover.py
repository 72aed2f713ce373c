"""The Redis master with the scaler's own state dies during a launch."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.ec2.conftest import StartSystem
from tests.ec2.network import CLOUD_ADDRESS
from tests.waiting import until
from workmanager.local.valkey_cluster import ValkeyCluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ValkeyCluster]:
    settings = {"bind": "0.0.0.0", "protected-mode": "no", "cluster-announce-ip": CLOUD_ADDRESS}
    cluster = ValkeyCluster(tmp_path / "cluster", settings=settings)
    cluster.start()
    yield cluster
    for server in cluster.servers:
        server.kill()


@pytest.fixture
def redis_url(cluster: ValkeyCluster) -> str:
    return ",".join(f"redis://{CLOUD_ADDRESS}:{server.port}" for server in cluster.servers)


def test_a_redis_failover_during_a_launch(start_system: StartSystem, cluster: ValkeyCluster) -> None:
    """The launch is not repeated, because its intent was on the replica too."""
    hosts = cluster.hosts.replace("127.0.0.1", CLOUD_ADDRESS)
    system = start_system(managers=2, MAX_WORKERS="2", CLUSTER_HOSTS=hosts)
    system.leader()
    cluster.wait_until_healthy()
    scaler_master = next(
        master for master in cluster.masters() if "scaler" in str(master.command("KEYS", "*:wm:scaler:*"))
    )
    with system.cloud.faults.hold("RunInstances", after_effect=True) as hold:
        system.submit(8, 0.5, gated=True)
        assert hold.reached.wait(60)
        scaler_master.kill()
        until(lambda: len(cluster.masters()) == 3, wanted="another master in its place")
    until(lambda: len(list((system.directory / "started").iterdir())) >= 2, wanted="jobs to start")
    system.open_gates()
    system.wait_until_done()
    assert len(system.cloud.events.launches) == 2
    system.wait_until_no_instances()
