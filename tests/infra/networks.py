"""Networks of the kinds that accounts have, in an emulated region."""

from typing import Any

from tests.infra.emulator import Region


def public_subnets(region: Region) -> list[str]:
    """Create a network with a route to the internet, and return its subnets in three zones."""
    ec2 = region.client("ec2")
    subnets = private_subnets(region)
    network = _network_of(ec2, subnets[0])
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=network)
    add_default_route(region, subnets, GatewayId=gateway)
    for subnet in subnets:
        ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    return subnets


def private_subnets(region: Region) -> list[str]:
    """Create a network without any route out of it, and return its subnets in three zones."""
    ec2 = region.client("ec2")
    network = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    return [add_subnet(region, network, number, letter) for number, letter in enumerate("abc")]


def add_subnet(region: Region, network: str, number: int, letter: str) -> str:
    """Add a subnet in the zone with this letter."""
    made = region.client("ec2").create_subnet(
        VpcId=network, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=f"{region.name}{letter}"
    )
    return str(made["Subnet"]["SubnetId"])


def add_default_route(region: Region, subnets: list[str], **target: str) -> None:
    """Give subnets a route table with this default route."""
    ec2 = region.client("ec2")
    table = ec2.create_route_table(VpcId=_network_of(ec2, subnets[0]))["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **target)
    for subnet in subnets:
        ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)


def _network_of(ec2: Any, subnet: str) -> str:
    return str(ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"])
