"""Fixtures: a simulated EC2, and a system on it for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.ec2.ec2_system import Ec2System
from tests.acceptance.ec2.worker_image import create_role, upload_bundle, user_data
from tests.ec2.network import CLOUD_ADDRESS, isolated_network, unavailable_reason
from tests.ec2.simulated_cloud import SimulatedCloud
from workmanager.local.valkey import ValkeyServer

StartSystem = Callable[..., Ec2System]
IN_BUNDLE = ("QUEUES", "JOB_ENVIRONMENT", "TRACES")


@pytest.fixture(scope="module", autouse=True)
def _network() -> Iterator[None]:
    if reason := unavailable_reason():
        pytest.skip(reason)
    with isolated_network():
        yield


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    """A cloud with really running instances; the environment is set so that boto3 uses it."""
    shared = tmp_path / "shared"
    shared.mkdir()
    with SimulatedCloud(tmp_path / "machines", shared=[shared]) as cloud:
        for name, value in cloud.environ.items():
            monkeypatch.setenv(name, value)
        yield cloud


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis that the instances can reach; yields its URL."""
    server = ValkeyServer(tmp_path / "valkey", settings={"bind": "0.0.0.0", "protected-mode": "no"})
    server.start()
    yield f"redis://{CLOUD_ADDRESS}:{server.port}"
    server.kill()


@pytest.fixture
def start_system(
    tmp_path: Path, cloud: SimulatedCloud, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StartSystem]:
    """Return a function that starts the system with a number of managers; check its invariants afterwards."""
    systems: list[Ec2System] = []

    def start_one(managers: int = 1, *, boot: str = "", **settings: str) -> Ec2System:
        # `setup.sh --set` puts the same settings into the bundle, for managers and workers.
        in_bundle = {name: value for name, value in settings.items() if name in IN_BUNDLE or name.startswith("OTEL_")}
        text = boot or user_data(upload_bundle(cloud, **in_bundle), redis_url)
        for name in (name for name in in_bundle if name.startswith("OTEL_")):
            monkeypatch.setenv(name, settings.pop(name))
        template = cloud.create_template(text, IamInstanceProfile={"Name": create_role(cloud)})
        systems.append(Ec2System(tmp_path / "shared", cloud, redis_url, template, **settings))
        for _ in range(managers):
            systems[0].start_manager()
        return systems[0]

    yield start_one
    for system in systems:
        system.close()
        system.assert_invariants()
