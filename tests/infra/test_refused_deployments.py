"""What AWS will refuse is told before anything is created; what it refuses later, with the cause that it knows."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.emulator import Emulator, Region, ScriptResult, Scripts
from tests.infra.networks import add_default_route, add_subnet, private_subnets, public_subnets

pytestmark = pytest.mark.timeout(1200)
ON_DEMAND, SPOT, NETWORKS = "quota/L-1216C47A", "quota/L-34B43A08", "quota/L-F678F1CE"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for all tests; each test has a region of its own."""
    with Emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


def test_a_quota_that_is_too_small_is_told_with_the_command_that_raises_it(tmp_path: Path, emulator: Emulator) -> None:
    region, scripts = _start(tmp_path, emulator, "us-west-1")
    before = region.inventory()
    networks = len(before["networks"])
    region.simulate(NETWORKS, str(networks))
    # Whoever may not ask for a quota does not learn that it is the default.
    region.simulate("default/L-1216C47A", "3")
    region.simulate("quota-refusal/L-1216C47A", "AccessDeniedException")
    assert _refusal(scripts.run("setup.sh")) == (
        f"the cluster's network is one more VPC, and the quota L-F678F1CE in us-west-1 allows {networks}; give "
        "--subnets of an existing one, or request more: aws service-quotas request-service-quota-increase "
        f"--region us-west-1 --service-code vpc --quota-code L-F678F1CE --desired-value {networks + 1}"
    )
    region.simulate(NETWORKS, str(networks + 1))
    # Nobody has raised this one, so that AWS tells its default only.
    region.client("ssm").delete_parameter(Name="/simulation/quota-refusal/L-1216C47A")
    assert _refusal(scripts.run("setup.sh")) == (
        "the hosts need 6 on-demand cores, and the quota L-1216C47A in us-west-1 has 3 free; request more: aws "
        "service-quotas request-service-quota-increase --region us-west-1 --service-code ec2 --quota-code L-1216C47A "
        "--desired-value 9"
    )
    region.client("ssm").delete_parameter(Name="/simulation/default/L-1216C47A")
    region.simulate(ON_DEMAND, "6")
    region.simulate(SPOT, "3")
    assert "one worker needs 4 spot cores, and the quota L-34B43A08 in us-west-1 has 3 free" in _refusal(
        scripts.run("setup.sh")
    )
    # A type that somebody chose is not replaced by a smaller one.
    region.simulate(ON_DEMAND, "5")
    assert "the hosts need 6 on-demand cores" in _refusal(scripts.run("setup.sh", "--manager-type", "m7g.large"))
    assert region.inventory() == before


def test_a_failed_creation_tells_the_cause_and_the_next_run_keeps_its_options(
    tmp_path: Path, emulator: Emulator
) -> None:
    """A fresh account: five cores, and Amazon has no capacity at first. The clock of whoever deploys is ahead."""
    region, scripts = _start(tmp_path, emulator, "us-east-2")
    scripts.add_program("date", "exec /bin/date -d '+4 minutes' \"$@\"")
    region.simulate(ON_DEMAND, "5")
    region.simulate("launch/ManagerB", "We currently do not have sufficient m7g.medium capacity.")
    failed = scripts.run(
        "setup.sh", "--max-workers", "7", "--allow-cidr", "192.0.2.0/24", "--worker-types", "c6g.xlarge"
    )
    assert failed.exit_code == 1
    assert "managers are m7g.medium instead of m7g.large" in failed.errors
    assert (
        "setup:   ManagerB: Received 0 SUCCESS signal(s) out of 1. Unable to satisfy 100% "
        "MinSuccessfulInstancesPercent requirement\n"
        "setup:     its last launch: We currently do not have sufficient m7g.medium capacity."
    ) in failed.errors

    region.simulate("launch/ManagerB", "")
    again = scripts.run("setup.sh", "--min-workers", "1")
    assert again.exit_code == 0, again.errors
    found = region.parameters("workmanager")
    assert {name: found[name] for name in ("MinWorkers", "MaxWorkers", "AllowCidr", "WorkerInstanceTypes")} == {
        "MinWorkers": "1",
        "MaxWorkers": "7",
        "AllowCidr": "192.0.2.0/24",
        "WorkerInstanceTypes": "c6g.xlarge",
    }
    assert found["ManagerInstanceType"] == "m7g.medium"


def test_private_subnets_need_an_internal_load_balancer_or_public_ones_for_it(
    tmp_path: Path, emulator: Emulator
) -> None:
    region, scripts = _start(tmp_path, emulator, "ca-central-1")
    subnets = private_subnets(region)
    given = ("--subnets", ",".join(subnets))
    assert f"{subnets[0]} has no default route (0.0.0.0/0), so hosts cannot reach AWS" in _refusal(
        scripts.run("setup.sh", *given, "--plan")
    )
    ec2 = region.client("ec2")
    network = ec2.describe_subnets(SubnetIds=subnets)["Subnets"][0]["VpcId"]
    address = ec2.allocate_address()["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=subnets[0], AllocationId=address)["NatGateway"]["NatGatewayId"]
    add_default_route(region, subnets, NatGatewayId=nat)
    assert _refusal(scripts.run("setup.sh", *given, "--plan")) == (
        f"--lb-subnets: {subnets[0]} has no route to an internet gateway, so nobody could reach a load balancer there; "
        "give public subnets, or --internal for clients within the network"
    )
    planned = scripts.run("setup.sh", *given, "--internal", "--plan")
    assert planned.exit_code == 0, planned.errors
    # Public subnets, of which one is in another zone than the managers.
    front = [add_subnet(region, network, number, letter) for number, letter in ((10, "a"), (11, "b"), (12, "c"))]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=network)
    add_default_route(region, front, GatewayId=gateway)
    refused = scripts.run("setup.sh", *given, "--lb-subnets", f"{front[0]},{front[2]}", "--plan")
    assert f"none is in {region.name}b, where a manager is" in _refusal(refused)
    made = scripts.run("setup.sh", *given, "--lb-subnets", ",".join(front))
    assert made.exit_code == 0, made.errors
    (balancer,) = region.client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert {zone["SubnetId"] for zone in balancer["AvailabilityZones"]} == set(front)
    assert balancer["Scheme"] == "internet-facing"
    refused = scripts.run("setup.sh", "--internal")
    assert _refusal(refused) == "--internal: the cluster workmanager has a public load balancer; use another --name"


def test_hosts_in_public_subnets_without_public_addresses_are_refused(tmp_path: Path, emulator: Emulator) -> None:
    region, scripts = _start(tmp_path, emulator, "eu-west-2")
    subnets = public_subnets(region)
    region.client("ec2").modify_subnet_attribute(SubnetId=subnets[1], MapPublicIpOnLaunch={"Value": False})
    assert f"{subnets[1]} has a route to an internet gateway, but gives its hosts no public addresses" in _refusal(
        scripts.run("setup.sh", "--subnets", ",".join(subnets), "--plan")
    )


@pytest.mark.parametrize("region", ["cn-north-1", "us-iso-east-1", "eusc-de-east-1"])
def test_partitions_with_other_names_are_refused_in_one_line(tmp_path: Path, region: str) -> None:
    scripts = Scripts(tmp_path, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    for script in ("setup.sh", "teardown.sh"):
        result = scripts.run(script, "--region", region)
        assert (result.exit_code, result.output) == (1, "")
        assert result.errors.splitlines() == [
            f"{script[:-3]}: error: --region {region}: workmanager runs in the partitions aws and aws-us-gov only"
        ]


def _start(tmp_path: Path, emulator: Emulator, name: str) -> tuple[Region, Scripts]:
    region = emulator.region(name)
    return region, Scripts(tmp_path, {**emulator.environ, "AWS_REGION": name})


def _refusal(result: ScriptResult) -> str:
    """Return the only error of a script that has created nothing."""
    assert result.exit_code == 1, result
    (line,) = (line for line in result.errors.splitlines() if ": error: " in line)
    return line.partition(": error: ")[2]
