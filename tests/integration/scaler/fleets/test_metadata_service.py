"""The manager's metadata service, which has its credentials, is slow or silent; at the start, or later."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scaler.fleets.ec2.capacity_pools import Ec2Plan
from scaler.fleets.ec2.fleet import Ec2Fleet
from scaler.fleets.fleet import Cause, FleetError
from tests.ec2.metadata_service import MetadataService
from tests.ec2.simulated_cloud import REGION, SimulatedCloud

SLOW_SECONDS = 1.1
"""Longer than boto3 waits by itself. The unit of the manager lets it wait for longer, and ask again."""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[SimulatedCloud]:
    with SimulatedCloud(tmp_path, boots=False, address="127.0.0.1") as cloud:
        yield cloud


@pytest.fixture
def metadata(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[MetadataService]:
    """The environment of a manager's unit, whose credentials come from this service."""
    service = MetadataService(_role(expires_in_seconds=3600.0), "127.0.0.1", 0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{service.port}",
        "AWS_METADATA_SERVICE_TIMEOUT": "20",
        "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "2",
    }.items():
        monkeypatch.setenv(name, value)
    yield service
    service.close()


async def test_a_client_made_while_it_is_silent_has_credentials_once_it_answers(metadata: MetadataService) -> None:
    metadata.is_silent = True
    fleet = Ec2Fleet.connect(Ec2Plan("c", "workers"))
    for _ in range(2):
        with pytest.raises(FleetError) as caught:
            await fleet.describe()
        assert (caught.value.cause, caught.value.code) == (Cause.REFUSED, "NoCredentialsError")
    metadata.is_silent = False
    assert await fleet.describe() == []


async def test_a_slow_service_is_waited_for(metadata: MetadataService) -> None:
    metadata.delay_seconds = SLOW_SECONDS
    assert await Ec2Fleet.connect(Ec2Plan("c", "workers")).describe() == []


async def test_credentials_are_used_until_they_expire_while_it_is_silent(metadata: MetadataService) -> None:
    metadata.tree.update(_role(expires_in_seconds=300.0))  # boto3 asks for new ones a quarter of an hour before
    fleet = Ec2Fleet.connect(Ec2Plan("c", "workers"))
    metadata.is_silent = True
    assert await fleet.describe() == []


def _role(*, expires_in_seconds: float) -> dict[str, str]:
    expiration = (datetime.now(UTC) + timedelta(seconds=expires_in_seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    credentials = {
        "Code": "Success",
        "AccessKeyId": "a",
        "SecretAccessKey": "b",
        "Token": "c",
        "Expiration": expiration,
    }
    return {"meta-data/iam/security-credentials/manager": json.dumps(credentials)}
