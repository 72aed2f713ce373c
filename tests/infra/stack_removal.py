"""CloudFormation's deletion of a stack: unreferenced resources first; resources that are in use stay.

Moto silently skips half of the resource types, and deletes resources that are still in use.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends

ENDED = ("shutting-down", "terminated")


def remove(stack: Any, lock: AbstractContextManager[Any]) -> dict[str, str]:
    """Delete a stack's resources. Return, by name, why some cannot be deleted; what these refer to stays, too."""
    resources = stack.resource_map
    left = {name: each for name, each in resources._resource_json_map.items() if resources._parsed_resources.get(name)}
    refusals: dict[str, str] = {}
    while free := [name for name in left if name not in refusals and not _is_referred_to(name, left)]:
        for name in free:
            with lock:
                reason = _remove(stack, name, left[name])
            if reason:
                refusals[name] = reason
            else:
                del left[name]
    return refusals


def _is_referred_to(name: str, left: Mapping[str, Any]) -> bool:
    return any(name in _references(each) for other, each in left.items() if other != name)


def _references(value: Any) -> Iterator[str]:
    """Yield the names that a resource of the template refers to, and others that look like one."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("Ref", "DependsOn") and isinstance(inner, str):
                yield inner
            elif key == "DependsOn":
                yield from inner
            elif key == "Fn::GetAtt":
                yield (inner if isinstance(inner, list) else inner.split("."))[0]
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{(\w+)", str(inner))
                yield from _references(inner)
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _remove(stack: Any, name: str, resource_json: Mapping[str, Any]) -> str:
    resource = stack.resource_map._parsed_resources[name]
    ec2 = ec2_backends[stack.account_id][stack.region_name]
    elb = elbv2_backends[stack.account_id][stack.region_name]
    deletions: Mapping[str, Callable[[], object]] = {
        "AWS::EC2::InternetGateway": lambda: ec2.delete_internet_gateway(resource.id),
        "AWS::EC2::VPCGatewayAttachment": lambda: ec2.detach_internet_gateway(resource.gateway_id, resource.vpc_id),
        "AWS::EC2::RouteTable": lambda: ec2.delete_route_table(resource.id),
        "AWS::EC2::Route": lambda: ec2.delete_route(resource.route_table.id, resource.destination_cidr_block),
        "AWS::EC2::SubnetRouteTableAssociation": lambda: _disassociate(ec2, resource),
        "AWS::EC2::VPCEndpoint": lambda: ec2.delete_vpc_endpoints([resource.id]),
        "AWS::EC2::SecurityGroupIngress": lambda: None,  # is deleted with its group
        "AWS::EC2::NetworkInterface": lambda: ec2.delete_network_interface(resource.id),
        "AWS::EC2::Volume": lambda: ec2.delete_volume(resource.id),
        "AWS::ElasticLoadBalancingV2::TargetGroup": lambda: elb.delete_target_group(resource.arn),
        "AWS::ElasticLoadBalancingV2::Listener": lambda: elb.delete_listener(resource.arn),
    }
    if reason := _why_in_use(ec2, resource_json["Type"], resource):
        return reason
    try:
        if deletion := deletions.get(resource_json["Type"]):
            deletion()
        else:
            stack.resource_map._delete_resource(resource, resource_json)
    except Exception as error:  # noqa: BLE001 - moto raises many types
        return str(error)
    return ""


def _why_in_use(ec2: Any, kind: str, resource: Any) -> str:
    """Return why EC2 would refuse to delete the resource, because a live instance uses it; or ''."""
    live = [each for found in ec2.reservations.values() for each in found.instances if each.state not in ENDED]
    match kind:
        case "AWS::EC2::SecurityGroup":
            used = any(resource.id in {group.id for group in each.security_groups} for each in live)
            return f"resource {resource.id} has a dependent object" if used else ""
        case "AWS::EC2::Subnet":
            used = any(each.subnet_id == resource.id for each in live)
            return f"The subnet '{resource.id}' has dependencies and cannot be deleted." if used else ""
        case "AWS::EC2::NetworkInterface":
            used = any(resource.id == nic.id for each in live for nic in each.nics.values())
            return f"Network interface '{resource.id}' is currently in use." if used else ""
        case "AWS::EC2::Volume":
            used = resource.attachment is not None and resource.attachment.instance in live
            return f"Volume {resource.id} is currently attached" if used else ""
        case _:
            return ""


def _disassociate(ec2: Any, association: Any) -> None:
    table = ec2.get_route_table(association.route_table_id)
    for id_, subnet_id in list(table._associations.items()):
        if subnet_id == association.subnet_id:
            ec2.disassociate_route_table(id_)
