"""The stack that moto creates from the template, in this process."""

import base64
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from moto.utilities.utils import get_partition

from infra.certificates import make_certificates
from infra.template import render
from tests.ec2.permissions import read_policy
from tests.infra.moto_stacks import patch_moto

NAME, REGION, ACCOUNT, IMAGE = "wm", "us-east-1", "123456789012", "ami-12c6146b"


@contextmanager
def deployed_stack(directory: Path, region: str = REGION, **parameters: str) -> Iterator["Stack"]:
    """Yield a stack with the template's defaults and these parameters, in an otherwise empty AWS."""
    patch_moto()
    partition = get_partition(region)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), mock_aws():
        warnings.simplefilter("ignore", UserWarning)  # moto warns about what it leaves out
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", region)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        make_certificates(NAME, region, directory, datetime.now(UTC))
        certificate = boto3.client("acm").import_certificate(
            Certificate=(directory / "balancer.pem").read_bytes(),
            PrivateKey=(directory / "balancer.key").read_bytes(),
        )["CertificateArn"]
        given = {
            "Bucket": "a-bucket",
            "BundleSha256": "a" * 64,
            "ImageId": IMAGE,
            "Zones": ",".join(f"{region}{letter}" for letter in "abc"),
            "CertificateArn": certificate,
            "CaCertificate": (directory / "ca.pem").read_text(),
            "StoreTlsSecret": f"arn:{partition}:secretsmanager:{region}:{ACCOUNT}:secret:{NAME}/store-tls-AbCdEf",
            **parameters,
        }
        boto3.client("cloudformation").create_stack(
            StackName=NAME,
            TemplateBody=render(partition),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        yield Stack(region)


class Stack:
    """The deployed stack."""

    def __init__(self, region: str) -> None:
        self.region = region
        listed = boto3.client("cloudformation").list_stack_resources(StackName=NAME)["StackResourceSummaries"]
        self.ids: Mapping[str, str] = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}

    def user_data(self, template: str) -> str:
        """Return the user data of a launch template."""
        return base64.b64decode(self.template(template)["UserData"]).decode()

    def template(self, name: str) -> Mapping[str, Any]:
        """Return the data of a launch template, by its name in the stack."""
        versions = boto3.client("ec2").describe_launch_template_versions(LaunchTemplateId=self.ids[name])
        data: Mapping[str, Any] = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        return data

    def group_id(self, name: str) -> str:
        """Return the id of a security group; the stack has its name or its id."""
        found = boto3.client("ec2").describe_security_groups()["SecurityGroups"]
        return next(one["GroupId"] for one in found if self.ids[name] in (one["GroupId"], one["GroupName"]))

    def policies(self, role: str) -> list[Mapping[str, Any]]:
        """Return the resolved policies of a role."""
        # At its own address in GovCloud, moto takes IAM for that of another partition (findings/moto-govcloud-iam.sh).
        iam, name = boto3.client("iam", endpoint_url="https://iam.amazonaws.com"), self.ids[role]
        documents = [
            iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        ]
        return [read_policy(document) for document in documents]
