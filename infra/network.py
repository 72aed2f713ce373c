"""`python -m infra.network --directory DIR …`: check the subnets of an existing VPC before anything is created.

DIR has what `aws ec2` answers, as JSON: `subnets.json`, `routes.json` (the VPC's route tables), `endpoints.json`. Exit
code 1 with the first problem on standard error; 0 with a note there if only something is tight.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NEEDED_SERVICES = ("ec2", "cloudformation", "secretsmanager", "logs", "monitoring", "elasticloadbalancing")
"""Services that hosts call, besides S3."""
FEWEST_ADDRESSES = 8
"""A load balancer needs 8 free addresses in each subnet:
https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html"""


@dataclass(frozen=True, slots=True)
class Network:
    """Subnets by id, and of their VPC the route tables and the endpoints, as EC2 describes them."""

    subnets: Mapping[str, Mapping[str, Any]]
    tables: Sequence[Mapping[str, Any]]
    endpoints: Sequence[Mapping[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the first problem, or a note, and return the exit code."""
    parser = argparse.ArgumentParser(prog="infra.network", description="Check subnets.")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--hosts", type=_ids, required=True)
    parser.add_argument("--balancer", type=_ids, required=True)
    parser.add_argument("--scheme", choices=("internal", "internet-facing"), required=True)
    parser.add_argument("--workers", type=int, required=True)
    options = parser.parse_args(arguments)
    subnets, tables, endpoints = (
        json.loads((options.directory / f"{name}.json").read_text())[key]
        for name, key in (("subnets", "Subnets"), ("routes", "RouteTables"), ("endpoints", "VpcEndpoints"))
    )
    network = Network({one["SubnetId"]: one for one in subnets}, tables, endpoints)
    found = [
        *host_problems(network, options.hosts, options.region),
        *balancer_problems(network, options.hosts, options.balancer, is_internal=options.scheme == "internal"),
    ]
    note = address_note(network, options.hosts, options.workers)
    if found or note:
        sys.stderr.write(f"{(found or [note])[0]}\n")
    return int(bool(found))


def host_problems(network: Network, hosts: Sequence[str], region: str) -> list[str]:
    """Return why hosts in these subnets could not reach AWS, or could not start."""
    found = []
    for id_ in hosts:
        subnet, route = network.subnets[id_], default_route(network, id_)
        addresses = int(subnet["AvailableIpAddressCount"])
        if addresses < FEWEST_ADDRESSES:
            found.append(f"{id_} has {addresses} free addresses, too few for its hosts")
        if route is None:
            if missing := _missing_endpoints(network, region):
                found.append(
                    f"{id_} has no default route (0.0.0.0/0), so hosts cannot reach AWS; add a route to a NAT gateway, "
                    f"or endpoints in the VPC for {', '.join(missing)}"
                )
        elif route.get("State") == "blackhole":
            found.append(f"the default route of {id_} leads nowhere: its target was deleted")
        elif _is_public(route) and not subnet.get("MapPublicIpOnLaunch"):
            found.append(
                f"{id_} has a route to an internet gateway, but gives its hosts no public addresses; turn that on "
                f"(aws ec2 modify-subnet-attribute --subnet-id {id_} --map-public-ip-on-launch), or use a NAT gateway"
            )
    return [f"--subnets: {text}" for text in found]


def balancer_problems(
    network: Network, hosts: Sequence[str], balancer: Sequence[str], *, is_internal: bool
) -> list[str]:
    """Return why a load balancer in these subnets could not be reached, or would not reach the managers."""
    found = []
    vpc = network.subnets[hosts[0]]["VpcId"]
    zones = [network.subnets[id_]["AvailabilityZone"] for id_ in balancer]
    for id_ in balancer:
        subnet, route = network.subnets[id_], default_route(network, id_)
        addresses = int(subnet["AvailableIpAddressCount"])
        if subnet["VpcId"] != vpc:
            found.append(f"{id_} is in another VPC than the hosts")
        if addresses < FEWEST_ADDRESSES:
            found.append(f"{id_} has {addresses} free addresses; a load balancer needs {FEWEST_ADDRESSES}")
        if not is_internal and not (route and _is_public(route)):
            found.append(
                f"{id_} has no route to an internet gateway, so nobody could reach a load balancer there; give public "
                "subnets, or --internal for clients within the network"
            )
    if len(set(zones)) < len(zones):
        found.append("give subnets in different zones")
    for id_ in hosts[:2]:
        zone = network.subnets[id_]["AvailabilityZone"]
        if zone not in zones:
            found.append(f"none is in {zone}, where a manager is; the load balancer would not use that manager")
    return [f"--lb-subnets: {text}" for text in found]


def address_note(network: Network, hosts: Sequence[str], workers: int) -> str:
    """Return a note if the subnets have fewer free addresses than there may be workers; or ''."""
    free = sum(int(network.subnets[id_]["AvailableIpAddressCount"]) for id_ in hosts)
    if free >= workers + FEWEST_ADDRESSES:
        return ""
    return f"the subnets have {free} free addresses, fewer than --max-workers {workers} and the hosts need"


def default_route(network: Network, subnet_id: str) -> Mapping[str, Any] | None:
    """Return the subnet's route to 0.0.0.0/0; a subnet without a route table of its own has the VPC's main one."""
    associations = [(table, one) for table in network.tables for one in table.get("Associations", ())]
    own = [table for table, one in associations if one.get("SubnetId") == subnet_id]
    main = [table for table, one in associations if one.get("Main")]
    routes = [route for table in (own or main)[:1] for route in table.get("Routes", ())]
    return next((route for route in routes if route.get("DestinationCidrBlock") == "0.0.0.0/0"), None)


def _is_public(route: Mapping[str, Any]) -> bool:
    return str(route.get("GatewayId", "")).startswith("igw-")


def _missing_endpoints(network: Network, region: str) -> list[str]:
    present = {str(one["ServiceName"]) for one in network.endpoints if str(one.get("State", "")).lower() == "available"}
    return [name for name in ("s3", *NEEDED_SERVICES) if f"com.amazonaws.{region}.{name}" not in present]


def _ids(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    sys.exit(main())
