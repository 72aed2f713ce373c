"""The bucket of a deployment is nobody else's: hosts run its bundle, and CloudFormation its template."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.infra.emulator import Emulator, Region, Scripts

pytestmark = pytest.mark.timeout(1200)
NAME = "wm"
SOMEBODY_ELSE = "999999999999"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for all tests; each test has a region of its own."""
    with Emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


def _setup(tmp_path: Path, region: Region, *options: str) -> str:
    """Run setup.sh and return what it says."""
    directory = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
    directory.mkdir()
    scripts = Scripts(directory, {**region.emulator.environ, "AWS_REGION": region.name})
    done = scripts.run("setup.sh", "--name", NAME, *options)
    assert done.exit_code == 0, done.errors
    return done.errors


def _account(region: Region) -> str:
    return str(region.client("sts").get_caller_identity()["Account"])


def _somebody_else(region: Region) -> Any:
    endpoint = region.emulator.environ["AWS_ENDPOINT_URL"]
    keys = {"aws_access_key_id": SOMEBODY_ELSE, "aws_secret_access_key": "x"}
    return boto3.client("s3", region_name=region.name, endpoint_url=endpoint, **keys)


def test_a_bucket_of_somebody_else_is_not_used_even_if_its_name_is_the_expected_one(
    tmp_path: Path, emulator: Emulator
) -> None:
    region = emulator.region("us-east-1")
    expected = f"workmanager-{NAME}-{_account(region)}-{region.name}"
    squatter = _somebody_else(region)
    squatter.create_bucket(Bucket=expected)
    _setup(tmp_path, region)
    bucket = region.parameters(NAME)["Bucket"]
    assert re.fullmatch(rf"workmanager-{NAME}-{region.name}-[0-9a-f]{{12}}", bucket)
    assert squatter.list_objects_v2(Bucket=expected)["KeyCount"] == 0

    # A later run knows it again, and uploads anew what CloudFormation reads, whatever became of it.
    s3 = region.client("s3")
    (template,) = s3.list_objects_v2(Bucket=bucket, Prefix="template/")["Contents"]
    right = s3.get_object(Bucket=bucket, Key=template["Key"])["Body"].read()
    s3.put_object(Bucket=bucket, Key=template["Key"], Body=b"Resources: {}")
    _setup(tmp_path, region, "--upgrade", "--set", "WAIT_WEIGHT=2")
    assert region.parameters(NAME)["Bucket"] == bucket
    assert s3.get_object(Bucket=bucket, Key=template["Key"])["Body"].read() == right


def test_a_bucket_with_the_name_of_earlier_versions_is_kept(tmp_path: Path, emulator: Emulator) -> None:
    region = emulator.region("us-west-2")
    former = f"workmanager-{NAME}-{_account(region)}-{region.name}"
    # The last three are of other clusters, whose names begin or end alike.
    for name in (former, f"workmanager-{NAME}-x-{region.name}-0123456789ab", f"x-{former}", f"{former}-0123456789ab"):
        region.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region.name})
    before = region.inventory()["buckets"]
    assert "creating the bucket" not in _setup(tmp_path, region, "--plan")
    region.client("s3").delete_bucket(Bucket=former)
    assert f"creating the bucket workmanager-{NAME}-{region.name}-" in _setup(tmp_path, region, "--plan")
    assert region.inventory()["buckets"] == [name for name in before if name != former]
