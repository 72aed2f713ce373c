"""The role of the managers, evaluated on each call of the scaler. An upgrade changes the role before the managers."""

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.certificates import make_certificates
from infra.template import render
from scaler.fleets.ec2.capacity_pools import Ec2Plan
from scaler.fleets.ec2.fleet import Ec2Client, Ec2Fleet
from scaler.fleets.fleet import Cause, FleetError
from scaler.fleets.instances import Intent, LaunchRequest
from tests.ec2.simulated_cloud import REGION, SimulatedCloud
from tests.infra.moto_stacks import patch_moto

OLD_IMAGE, NEW_IMAGE = "ami-12c6146b", "ami-1e749f67"
NAME = "wm"


class Deployment:
    """The stack in a simulated cloud, and a manager's fleet with the credentials of its role."""

    def __init__(self, cloud: SimulatedCloud, directory: Path) -> None:
        self.cloud = cloud
        make_certificates(NAME, REGION, directory, datetime.now(UTC))
        self.parameters = {
            "Bucket": "a-bucket",
            "BundleSha256": "a" * 64,
            "ImageId": OLD_IMAGE,
            "Zones": "us-east-1a,us-east-1b,us-east-1c",
            "CertificateArn": cloud.client("acm").import_certificate(
                Certificate=(directory / "balancer.pem").read_bytes(),
                PrivateKey=(directory / "balancer.key").read_bytes(),
            )["CertificateArn"],
            "CaCertificate": (directory / "ca.pem").read_text(),
            "StoreTlsSecret": f"arn:aws:secretsmanager:{REGION}:123456789012:secret:{NAME}/store-tls-AbCdEf",
        }
        self.deploy(cloud.client("cloudformation").create_stack)

    def upgrade(self, **parameters: str) -> None:
        self.parameters |= parameters
        self.deploy(self.cloud.client("cloudformation").update_stack)

    def deploy(self, operation: object) -> None:
        listed = [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()]
        options = {"TemplateBody": render(), "Parameters": listed, "Capabilities": ["CAPABILITY_IAM"]}
        operation(StackName=NAME, **options)  # type: ignore[operator]  # boto3 has no types

    def id_of(self, name: str) -> str:
        listed = self.cloud.client("cloudformation").list_stack_resources(StackName=NAME)["StackResourceSummaries"]
        return next(str(each["PhysicalResourceId"]) for each in listed if each["LogicalResourceId"] == name)

    def client_of(self, role: str, service: str) -> Any:
        """Return a client with the credentials of a host's role."""
        arn = self.cloud.client("iam").get_role(RoleName=self.id_of(role))["Role"]["Arn"]
        given = self.cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName="i-0")["Credentials"]
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.cloud.endpoint,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )

    def manager(self, version: int) -> Ec2Fleet:
        """Return the fleet of a manager that launches from this version of the workers' template."""
        client: Ec2Client = self.client_of("ManagerRole", "ec2")
        return Ec2Fleet(client, Ec2Plan(NAME, f"{self.id_of('WorkerTemplate')}:{version}", types=("c7g.xlarge",)))


@pytest.fixture
def deployment(api_only_cloud: SimulatedCloud, tmp_path: Path) -> Iterator[Deployment]:
    patch_moto()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # moto warns about what it leaves out
        yield Deployment(api_only_cloud, tmp_path)


async def launch(fleet: Ec2Fleet, token: str) -> str:
    (request,) = fleet.plan(1, (), ())
    (launched,) = await fleet.launch(
        Intent(token, 0.0, 1, LaunchRequest(1, request.pool, request.arguments)), repeated=False
    )
    return launched.id


async def test_running_managers_go_on_launching_while_an_upgrade_replaces_them(deployment: Deployment) -> None:
    old = deployment.manager(1)
    first = await launch(old, "a")
    deployment.upgrade(ImageId=NEW_IMAGE, PreviousImageId=OLD_IMAGE)
    assert await launch(old, "b")
    new = deployment.manager(2)
    assert await launch(new, "c")
    assert await new.terminate([first]) == {first: None}
    assert len([each for each in await old.describe() if not each.ended]) == 2


async def test_a_role_that_no_longer_allows_the_old_image_refuses_and_says_so(deployment: Deployment) -> None:
    old = deployment.manager(1)
    deployment.upgrade(ImageId=NEW_IMAGE)
    with pytest.raises(FleetError) as caught:
        await launch(old, "a")
    assert (caught.value.cause, caught.value.code) == (Cause.REFUSED, "UnauthorizedOperation")
    assert OLD_IMAGE in str(caught.value)
    assert await launch(deployment.manager(2), "b")


async def test_a_manager_ends_no_host_of_the_cluster(deployment: Deployment) -> None:
    ec2 = deployment.cloud.client("ec2")
    (host,) = ec2.run_instances(
        ImageId=OLD_IMAGE,
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [
                    {"Key": "workmanager:cluster", "Value": NAME},
                    {"Key": "workmanager:role", "Value": "manager"},
                ],
            }
        ],
    )["Instances"]
    outcome = await deployment.manager(1).terminate([host["InstanceId"]])
    error = outcome[host["InstanceId"]]
    assert error is not None
    assert error.code == "UnauthorizedOperation"


def test_a_worker_reads_the_bundle_and_its_own_password_and_nothing_else(deployment: Deployment) -> None:
    deployment.cloud.client("s3").create_bucket(Bucket="a-bucket")
    for key in ("bundle/a", "backup/a"):
        deployment.cloud.client("s3").put_object(Bucket="a-bucket", Key=key, Body=b"")
    s3, secrets = (deployment.client_of("WorkerRole", service) for service in ("s3", "secretsmanager"))
    logs = deployment.client_of("WorkerRole", "logs")
    group = f"/workmanager/{NAME}"
    s3.get_object(Bucket="a-bucket", Key="bundle/a")
    secrets.get_secret_value(SecretId=deployment.id_of("StoreWorkerPassword"))
    logs.create_log_stream(logGroupName=group, logStreamName="worker/i-0")
    for refused in (
        lambda: s3.get_object(Bucket="a-bucket", Key="backup/a"),
        lambda: s3.put_object(Bucket="a-bucket", Key="bundle/a", Body=b"mine"),
        lambda: secrets.get_secret_value(SecretId=f"{NAME}/store/manager"),
        lambda: logs.create_log_stream(logGroupName=group, logStreamName="manager/i-0"),
    ):
        with pytest.raises(ClientError, match=r"AccessDenied|403"):
            refused()
    assert deployment.cloud.events.errors["AccessDenied"] == 4
