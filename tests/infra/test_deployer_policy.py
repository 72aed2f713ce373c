"""The policy of whoever runs setup.sh and teardown.sh: all that their calls and CloudFormation need."""

import json
import re
from fnmatch import fnmatchcase
from pathlib import Path

import cfnlint
import pytest
from botocore.loaders import Loader

from infra.template import render

ROOT = Path(__file__).parents[2]
POLICY = json.loads((ROOT / "infra/deployer-policy.json").read_text())
PREFIXES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
# S3's actions have other names than its operations:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
S3 = {
    "list-buckets": "ListAllMyBuckets",
    "head-bucket": "ListBucket",
    "head-object": "GetObject",
    "list-object-versions": "ListBucketVersions",
    "delete-objects": "DeleteObjectVersion",
    "put-public-access-block": "PutBucketPublicAccessBlock",
    "put-bucket-lifecycle-configuration": "PutLifecycleConfiguration",
    "put-bucket-policy": "PutBucketPolicy",
}
FREE = {"sts:GetCallerIdentity"}
"""Needs no permission."""
ONLY_PRINTED = {"ec2:DeleteVpcEndpoints", "servicequotas:RequestServiceQuotaIncrease"}
"""Commands that the scripts tell a person."""
# What CloudFormation's handlers list for properties that the template does not have.
UNUSED = (
    *("managed-fleets:*", "vpc-lattice:*", "vpce:*", "cognito-idp:*"),
    *("firehose:*", "s3:REST.PUT.OBJECT", "ec2:CopyVolumes", "ec2:Get*"),
    *("ssm:Get*", "ec2:AssignIpv6*", "ec2:AssignPrivate*", "ec2:UnassignIpv6*"),
    *("ec2:UnassignPrivate*", "ec2:*SubnetCidrBlock", "ec2:*VpnGateway", "autoscaling:*InstanceRefresh"),
    *("autoscaling:*Metrics*", "autoscaling:*LifecycleHook", "autoscaling:*Notification*", "iam:*GroupPolicy"),
    *("iam:*UserPolicy", "iam:*PermissionsBoundary", "iam:AttachRolePolicy", "kms:*"),
    *("logs:*KmsKey", "logs:CreateLogDelivery", "logs:*Protection*", "logs:*IndexPolicy"),
    *(
        "logs:*ResourcePolicy",
        "logs:PutBearerTokenAuthentication",
        "secretsmanager:*Region*",
        "sns:PutDataProtectionPolicy",
    ),
)


def test_the_policy_allows_every_call_of_the_scripts() -> None:
    calls = _calls()
    assert len(calls) > 50
    assert sorted(call for call in calls - FREE - ONLY_PRINTED if not _is_allowed(call)) == []


def test_the_policy_allows_what_cloudformation_does_for_each_resource() -> None:
    """CloudFormation acts with the rights of its caller. Its resource types say which they need."""
    types = set(re.findall(r"^    Type: (AWS::\w+::\w+)$", render(), re.MULTILINE))
    needed: set[str] = set()
    for path in (Path(cfnlint.__file__).parent / "data/schemas/resources").glob("*.json"):
        schema = json.loads(path.read_text())
        if schema.get("typeName") in types:
            types.discard(schema["typeName"])
            for handler in schema["handlers"].values():
                needed.update(handler.get("permissions", ()))
    assert not types
    missing = [one for one in needed if not _is_allowed(one) and not any(fnmatchcase(one, each) for each in UNUSED)]
    assert sorted(missing) == []


def test_the_policy_is_short_enough_for_iam_and_bound_to_the_cluster() -> None:
    """IAM takes 6,144 characters, without white space."""
    assert len("".join(json.dumps(POLICY).split())) <= 6_144
    for statement in POLICY["Statement"]:
        if statement["Sid"] not in ("Look", "Network"):
            assert "*" not in _listed(statement["Resource"]), statement["Sid"]


@pytest.mark.parametrize("name", ["workmanager", "wm"])
def test_the_policy_covers_the_names_that_cloudformation_makes(name: str) -> None:
    """Load balancers and target groups have at most 32 characters: CloudFormation cuts both parts of a name to five."""
    (balancer,) = (one for one in POLICY["Statement"] if one["Sid"] == "Balancer")
    patterns = [one.rpartition("ACCOUNT:")[2].replace("FIVE", name[:5]) for one in balancer["Resource"]]
    for resource in (
        f"loadbalancer/net/{name[:5]}-LoadB-1AP1P1O5Y9STY/50dc6c495c0c9188",
        f"targetgroup/{name[:5]}-Targe-13M1I0QII67TE/943f017f100becff",
        f"listener/net/{name[:5]}-LoadB-1AP1P1O5Y9STY/50dc6c495c0c9188/0467ef3c8400ae65",
    ):
        assert any(fnmatchcase(resource, pattern) for pattern in patterns), resource


def _calls() -> set[str]:
    """Return the IAM actions of all calls of aws-cli in the scripts."""
    loader, found = Loader(), set()
    for path in ROOT.glob("scripts/*.sh"):
        text = re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
        pairs = re.findall(r"\baws ([a-z0-9-]+) ([a-z][a-z0-9-]+)(?= |$)", text, re.MULTILINE)
        pairs += [("s3api", name) for name in re.findall(r"(?<!aws )\bs3api ([a-z][a-z0-9-]+)", text)]
        for service, operation in pairs:
            if operation == "wait" or service == "configure":  # what waiters call is called elsewhere, too
                continue
            if service in ("s3", "s3api"):
                found.add("s3:" + S3.get(operation, "".join(part.capitalize() for part in operation.split("-"))))
                continue
            if service not in loader.list_available_services("service-2"):
                continue  # a word of a message
            names = loader.load_service_model(service, "service-2")["operations"]
            wanted = operation.replace("-", "").lower()
            name = next(name for name in names if name.lower() == wanted)
            found.add(f"{PREFIXES.get(service, service)}:{name}")
    return {"s3:PutObject" if call == "s3:Cp" else "s3:DeleteObject" if call == "s3:Rm" else call for call in found}


def _is_allowed(action: str) -> bool:
    return any(fnmatchcase(action, each) for each in _actions()) or (
        action.endswith("*") and any(each.startswith(action[:-1]) for each in _actions())
    )


def _actions() -> list[str]:
    return [action for statement in POLICY["Statement"] for action in _listed(statement["Action"])]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
