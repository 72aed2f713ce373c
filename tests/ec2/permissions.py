"""IAM for the simulated EC2: whether the policies of the caller's role allow a call, and each part of it.

Which resources and condition keys a call has:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
How policies are evaluated (identity-based ones alone):
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition

from tests.ec2.faults import ApiError
from tests.ec2.moto_region import ACCOUNT, MotoRegion

_OPERATORS = {"StringEquals", "ArnEquals", "ArnLike"}


@dataclass(frozen=True, slots=True)
class Access:
    """One action on one resource, with the condition keys that the call has for it."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def role_policies(access_key: str, region: str) -> Sequence[Mapping[str, Any]] | None:
    """Return the policies of the role whose temporary credentials these are, as they are now.

    None: the caller is no role, or has a role without policies, as most tests give it. Then all is allowed.
    """
    partition = get_partition(region)
    for assumed in sts_backends[ACCOUNT][partition].assumed_roles:
        if assumed.access_key_id == access_key:
            name = assumed.role_arn.rpartition("/")[2]
            iam = iam_backends[ACCOUNT][partition]
            return [read_policy(iam.get_role_policy(name, each)[1]) for each in iam.list_role_policies(name)] or None
    return None


def read_policy(document: Any) -> Mapping[str, Any]:
    """Return a policy of moto, which stores it as the text of Python values, with AWS::NoValue as a value that
    is not a string.
    """
    policy: dict[str, Any] = ast.literal_eval(document) if isinstance(document, str) else document
    for statement in policy["Statement"]:
        if isinstance(statement["Resource"], list):
            statement["Resource"] = [one for one in statement["Resource"] if isinstance(one, str)]
    return policy


def raise_unless_allowed(policies: Sequence[Mapping[str, Any]], accesses: Iterator[Access]) -> None:
    """Raise ApiError if one part of a call is not allowed."""
    for access in accesses:
        if not any(_allows(statement, access) for policy in policies for statement in _listed(policy["Statement"])):
            raise ApiError(
                "UnauthorizedOperation",
                "You are not authorized to perform this operation. User is not authorized to perform: "
                f"{access.action} on resource: {access.resource} because no identity-based policy allows the "
                f"{access.action} action",
                403,
            )


def accesses_of(action: str, form: Mapping[str, str], region: MotoRegion) -> Iterator[Access]:
    """Yield the parts of a call; none for actions that are not checked."""
    match action:
        case "DescribeInstances":
            yield Access("ec2:DescribeInstances", "*")
        case "TerminateInstances":
            for id_ in (value for name, value in form.items() if name.startswith("InstanceId.")):
                yield Access("ec2:TerminateInstances", _arn(region, f"instance/{id_}"), _resource_tags(region, id_))
        case "AttachVolume" | "AttachNetworkInterface":
            name = (
                f"volume/{form['VolumeId']}"
                if "VolumeId" in form
                else f"network-interface/{form['NetworkInterfaceId']}"
            )
            yield Access(f"ec2:{action}", _arn(region, name))
            id_ = form["InstanceId"]
            yield Access(f"ec2:{action}", _arn(region, f"instance/{id_}"), _resource_tags(region, id_))
        case "RunInstances":
            yield from _accesses_of_launch(form, region)


def _accesses_of_launch(form: Mapping[str, str], region: MotoRegion) -> Iterator[Access]:
    template = region.launch_template_data(form)
    context = {}
    if "LaunchTemplate.LaunchTemplateId" in form:
        arn = _arn(region, f"launch-template/{form['LaunchTemplate.LaunchTemplateId']}")
        context = {"ec2:LaunchTemplate": arn}
        yield Access("ec2:RunInstances", arn)
    kind = form.get("InstanceType") or template.get("InstanceType", "m1.small")
    yield Access("ec2:RunInstances", _arn(region, "instance/*"), {**context, "ec2:InstanceType": kind})
    yield Access("ec2:RunInstances", _arn(region, "volume/*"), context)
    yield Access("ec2:RunInstances", _arn(region, "network-interface/*"), context)
    image = form.get("ImageId") or template.get("ImageId", "")
    yield Access("ec2:RunInstances", f"arn:{get_partition(region.name)}:ec2:{region.name}::image/{image}")
    if "SubnetId" in form:
        yield Access("ec2:RunInstances", _arn(region, f"subnet/{form['SubnetId']}"))
    for group in template.get("SecurityGroupIds", ()):
        yield Access("ec2:RunInstances", _arn(region, f"security-group/{group}"))
    if form.get("InstanceMarketOptions.MarketType") == "spot":
        yield Access("ec2:RunInstances", _arn(region, "spot-instances-request/*"))
    for number in range(1, 10):
        prefix = f"TagSpecification.{number}"
        if tagged := form.get(f"{prefix}.ResourceType"):
            tags = {
                f"aws:RequestTag/{value}": form[name.removesuffix("Key") + "Value"]
                for name, value in form.items()
                if name.startswith(f"{prefix}.Tag.") and name.endswith(".Key")
            }
            yield Access("ec2:CreateTags", _arn(region, f"{tagged}/*"), {**tags, "ec2:CreateAction": "RunInstances"})
    if profile := template.get("IamInstanceProfile", {}).get("Arn"):
        name = profile.rpartition("/")[2]
        for role in iam_backends[ACCOUNT][get_partition(region.name)].get_instance_profile(name).roles:
            yield Access("iam:PassRole", role.arn, {"iam:PassedToService": "ec2.amazonaws.com"})


def _arn(region: MotoRegion, name: str) -> str:
    return f"arn:{get_partition(region.name)}:ec2:{region.name}:{ACCOUNT}:{name}"


def _resource_tags(region: MotoRegion, instance_id: str) -> Mapping[str, str]:
    if instance_id not in region.instance_ids():
        return {}
    return {f"aws:ResourceTag/{key}": value for key, value in region.tags(instance_id).items()}


def _allows(statement: Mapping[str, Any], access: Access) -> bool:
    assert statement["Effect"] == "Allow", "the template has no other statements"
    return (
        any(fnmatchcase(access.action.lower(), each.lower()) for each in _listed(statement["Action"]))
        # `instance/*` of a call matches only what covers all instances.
        and any(fnmatchcase(access.resource, each) for each in _listed(statement["Resource"]))
        and all(
            _matches(operator, access.context.get(key), _listed(values))
            for operator, conditions in statement.get("Condition", {}).items()
            for key, values in conditions.items()
        )
    )


def _matches(operator: str, value: str | None, patterns: Sequence[str]) -> bool:
    assert operator in _OPERATORS, f"{operator} is not simulated"
    if value is None:
        return False
    return value in patterns if operator == "StringEquals" else any(fnmatchcase(value, each) for each in patterns)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]
