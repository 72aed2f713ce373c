"""An emulated AWS for the deployment's scripts: ministack with additions. Run by the Python that has ministack.

- AWS::EC2::NetworkInterface, Volume, SecurityGroupIngress and SecurityGroupEgress. A group does not take a rule twice
  (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html, InvalidPermission.Duplicate), and a rule
  with other ports is made before the old one is deleted.
- Instance types, and the zones that have them, four in a region. An Auto Scaling group whose launch template names a
  type that its zone lacks is refused, as on AWS.
- Change sets leave out resources that the template's conditions exclude.
- Templates can also be read from `https://BUCKET.s3.REGION.amazonaws.com/KEY`.
- Amazon's public parameters can be written, since the emulator has none.
- Generated names differ by region (findings/ministack-shared-roles.sh).
- A request that names another owner of a bucket is refused, as on AWS. So is one of aws-cli to a deployment's bucket
  that names none.
- What AWS refuses, or does late: `ministack_limits.py`.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from ministack.app import main
from ministack.core.responses import get_account_id
from ministack.services import ec2, s3, ssm
from ministack.services.cloudformation import changesets, helpers, provisioners

from tests.infra import ministack_limits

Properties = Mapping[str, Any]
Made = tuple[str, Mapping[str, Any]]

TYPES = {
    **dict.fromkeys(("c7g.xlarge", "c6g.xlarge", "m7g.xlarge"), ("arm64", 4)),
    **dict.fromkeys(("m7g.large", "t4g.micro", "x2gd.large"), ("arm64", 2)),
    "m7g.medium": ("arm64", 1),
    **dict.fromkeys(("m7i.large", "c7i.large", "t3.micro", "m4.large"), ("x86_64", 2)),
}
"""Architecture and cores of the instance types."""
XEN = {"m4.large"}
"""Types of the former hypervisor: https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-nitro-instances.html"""
ZONES = "abcd"
SUFFIX_LENGTH = 13
"""Length of the suffix of a generated name."""
LACKING = {"b": {"t4g.micro", "t3.micro"}, "c": {"x2gd.large"}}
"""Instance types that a zone does not have, by the zone's letter."""


def form(**values: Any) -> dict[str, list[str]]:
    """Return the fields of a request."""
    return {name: [str(value)] for name, value in values.items()}


def describe_types(request: Mapping[str, Any]) -> Any:
    wanted = ec2._parse_member_list(request, "InstanceType")
    if unknown := [name for name in wanted if name not in TYPES]:
        text = f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
        return ec2._error("InvalidInstanceType", text, 400)
    items = ""
    for name in wanted:
        architecture, cores = TYPES[name]
        items += (
            f"<item><instanceType>{name}</instanceType><hypervisor>{'xen' if name in XEN else 'nitro'}</hypervisor>"
            f"<processorInfo><supportedArchitectures>"
            f"<item>{architecture}</item></supportedArchitectures></processorInfo>"
            f"<vCpuInfo><defaultVCpus>{cores}</defaultVCpus></vCpuInfo></item>"
        )
    return ec2._xml(200, "DescribeInstanceTypesResponse", f"<instanceTypeSet>{items}</instanceTypeSet>")


def describe_offerings(request: Mapping[str, Any]) -> Any:
    (name,) = ec2._parse_filters(request)["instance-type"]
    places = [f"{ec2.get_region()}{letter}" for letter in ZONES]
    items = "".join(
        f"<item><instanceType>{name}</instanceType><locationType>availability-zone</locationType>"
        f"<location>{place}</location></item>"
        for place in places
        if zone_has(place, name)
    )
    text = f"<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>"
    return ec2._xml(200, "DescribeInstanceTypeOfferingsResponse", text)


def describe_zones(request: Mapping[str, Any]) -> Any:
    items = "".join(f"<item><zoneName>{ec2.get_region()}{letter}</zoneName></item>" for letter in ZONES)
    text = f"<availabilityZoneInfo>{items}</availabilityZoneInfo>"
    return ec2._xml(200, "DescribeAvailabilityZonesResponse", text)


def zone_has(zone: str, name: str) -> bool:
    return name not in LACKING.get(zone[-1], ())


def with_type_check(handler: Callable[..., Made]) -> Callable[..., Made]:
    """Wrap the handler of Auto Scaling groups: refuse a launch template whose type the zone lacks."""

    def handle(*arguments: Any) -> Made:
        group = next(one for one in reversed(arguments) if isinstance(one, dict))
        versions = ec2._launch_templates[group["LaunchTemplate"]["LaunchTemplateId"]]["Versions"]
        name = versions[-1]["LaunchTemplateData"]["InstanceType"]
        zones = [ec2._subnets[subnet]["AvailabilityZone"] for subnet in group["VPCZoneIdentifier"]]
        for zone in zones:
            if not zone_has(zone, name):
                raise ValueError(
                    "You must use a valid fully-formed launch template. Your requested instance type "
                    f"({name}) is not supported in your requested Availability Zone ({zone})."
                )
        return handler(*arguments)

    return handle


def create_interface(logical_id: str, given: Properties, stack: str) -> Made:
    before = set(ec2._network_interfaces)
    groups = {f"SecurityGroupId.{number}": group for number, group in enumerate(given["GroupSet"], 1)}
    ec2._create_network_interface(form(SubnetId=given["SubnetId"], Description=given["Description"], **groups))
    (made,) = set(ec2._network_interfaces) - before
    return made, {"PrimaryPrivateIpAddress": ec2._network_interfaces[made]["PrivateIpAddress"]}


def delete_interface(interface: str, given: Properties) -> None:
    ec2._delete_network_interface(form(NetworkInterfaceId=interface))


def create_volume(logical_id: str, given: Properties, stack: str) -> Made:
    before = set(ec2._volumes)
    ec2._create_volume(form(**{name: given[name] for name in ("AvailabilityZone", "Size", "VolumeType", "Encrypted")}))
    (made,) = set(ec2._volumes) - before
    return made, {}


def update_volume(volume: str, before: Properties, given: Properties, stack: str) -> Made:
    ec2._volumes[volume]["Size"] = int(given["Size"])
    return volume, {}


def delete_volume(volume: str, given: Properties) -> None:
    ec2._delete_volume(form(VolumeId=volume))


def rules(direction: str) -> Mapping[str, Callable[..., Any]]:
    """Return the handlers for a rule of a security group that is a resource of its own."""

    def create(logical_id: str, given: Properties, stack: str) -> Made:
        (made,) = provisioners._ec2_sg_permissions([given])
        if made in (there := ec2._security_groups[given["GroupId"]][direction]):
            raise ValueError(f"the specified rule {made} already exists (InvalidPermission.Duplicate)")
        there.append(made)
        return f"sgr-{logical_id}", {}

    def update(rule: str, before: Properties, given: Properties, stack: str) -> Made:
        made = create(rule.removeprefix("sgr-"), given, stack)
        delete(rule, before)
        return made

    def delete(rule: str, given: Properties) -> None:
        (there,) = provisioners._ec2_sg_permissions([given])
        ec2._security_groups[given["GroupId"]][direction].remove(there)

    return {"create": create, "update": update, "delete": delete}


def with_bucket_hosts(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def resolve_document(request: Mapping[str, Any], body: str, url: str, label: str) -> Any:
        given = helpers._p(request, url) or ""
        path = re.sub(r"^https://([^./]+)\.s3\.[a-z0-9-]+\.amazonaws\.com/", r"https://s3.amazonaws.com/\1/", given)
        return resolve({**request, url: [path]} if given else request, body, url, label)

    return resolve_document


def with_conditions(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def resolve_props_for_diff(template: Any, given: Any, *stack: str) -> Any:
        resolved = resolve(template, given, *stack)
        holds = changesets._evaluate_conditions(template, given) if template else {}
        kept = resolved.get("Resources", {}).items()
        return {"Resources": {name: one for name, one in kept if holds.get(one.get("Condition"), True)}}

    return resolve_props_for_diff


def for_owners(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    def handle(method: str, bucket: str, key: str, headers: Mapping[str, str], body: bytes, query: Any) -> Any:
        owner = headers.get("x-amz-expected-bucket-owner")
        is_creation = method == "PUT" and not key and not query
        is_deployments = bucket.startswith("workmanager-") and not is_creation
        is_script = headers.get("user-agent", "").startswith("aws-cli") and is_deployments
        if (owner or is_script) and owner != get_account_id():
            return s3._error("AccessDenied", f"{method} {bucket}/{key}: the owner is not {owner}", 403, f"/{bucket}")
        return dispatch(method, bucket, key, headers, body, query)

    return handle


def with_region(physical_name: Callable[..., str]) -> Callable[..., str]:
    """Wrap the function that generates a resource's name. Its suffix is a hash of stack and resource alone."""

    def generate(stack: str, logical_id: str, *, lowercase: bool = False, **options: Any) -> str:
        name = physical_name(stack, logical_id, lowercase=lowercase, **options)
        suffix = hashlib.sha256(f"{name}:{ec2.get_region()}".encode()).hexdigest()[:SUFFIX_LENGTH]
        return name[:-SUFFIX_LENGTH] + (suffix if lowercase else suffix.upper())

    return generate


if __name__ == "__main__":
    handlers = provisioners._RESOURCE_HANDLERS
    handlers["AWS::EC2::NetworkInterface"] = {"create": create_interface, "delete": delete_interface}
    handlers["AWS::EC2::Volume"] = {"create": create_volume, "update": update_volume, "delete": delete_volume}
    handlers["AWS::EC2::SecurityGroupIngress"] = rules("IpPermissions")
    handlers["AWS::EC2::SecurityGroupEgress"] = rules("IpPermissionsEgress")
    group = handlers["AWS::AutoScaling::AutoScalingGroup"]
    group |= {"create": with_type_check(group["create"]), "update": with_type_check(group["update"])}
    ec2._ACTION_MAP["DescribeAvailabilityZones"] = describe_zones
    ec2._ACTION_MAP["DescribeInstanceTypes"] = describe_types
    ec2._ACTION_MAP["DescribeInstanceTypeOfferings"] = describe_offerings
    helpers._resolve_document = with_bucket_hosts(helpers._resolve_document)
    provisioners._physical_name = with_region(provisioners._physical_name)
    changesets._resolve_props_for_diff = with_conditions(changesets._resolve_props_for_diff)
    ssm._reserved_name_error = lambda name: None
    s3._dispatch = for_owners(s3._dispatch)
    ministack_limits.apply(lambda name: TYPES[name][1])
    main()
