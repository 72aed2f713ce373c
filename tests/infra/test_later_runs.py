"""Later runs of setup.sh change what they are asked for, and nothing else; teardown.sh leaves nothing, or says what."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.emulator import IMAGE, IMAGES, Emulator, Region, ScriptResult, Scripts

pytestmark = pytest.mark.timeout(1200)
NAME = "workmanager"
NEW_IMAGE = "ami-0fedcba9876543210"
OWN_IMAGE, OTHER_IMAGE = "ami-00000000000000003", "ami-00000000000000004"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for all tests; each test has a region of its own."""
    with Emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


def test_hosts_keep_image_and_program_until_a_run_asks_for_others(tmp_path: Path, emulator: Emulator) -> None:
    region = emulator.region("us-east-1")
    scripts = _deployed(tmp_path, region)
    # Amazon has published another image, the program is another version, and its bundle has other bytes.
    region.simulate(f"image/{NEW_IMAGE}", "arm64")
    region.client("ssm").put_parameter(Name=f"{IMAGES}arm64", Value=NEW_IMAGE, Type="String", Overwrite=True)
    scripts.bundle.write_text("second")
    scripts.edit("infra/userdata/worker.sh", "# another version\n")
    planned = _done(scripts.run("setup.sh", "--alarm-email", "me@example.com", "--plan"))
    assert planned.output.split()[:3] == ["Add", "AlarmSubscription", "AWS::SNS::Subscription"]
    assert len(planned.output.splitlines()) == 1
    assert "this is another version of workmanager than the deployed one; --upgrade deploys it" in planned.errors

    refused = scripts.run("setup.sh", "--set", "WAIT_WEIGHT=2", "--plan")
    assert "another version of workmanager than the deployed one; give --upgrade, too" in refused.errors
    assert refused.exit_code == 1

    _done(scripts.run("setup.sh", "--upgrade-image", "--worker-types", "c6g.xlarge,m7g.xlarge"))
    # Until they are replaced, managers launch with what they were started with.
    found = region.parameters(NAME)
    assert (found["ImageId"], found["PreviousImageId"]) == (NEW_IMAGE, f"{IMAGE}0")
    assert found["WorkerInstanceTypes"] == "c6g.xlarge,m7g.xlarge"
    assert found["PreviousWorkerTypes"] == "c7g.xlarge,c6g.xlarge,m7g.xlarge"
    program = found["BundleSha256"]
    assert "the stack is up to date" in _done(scripts.run("setup.sh")).errors

    # An image of one's own stays, too.
    region.simulate(f"image/{OWN_IMAGE}", "arm64")
    region.simulate(f"image/{OTHER_IMAGE}", "x86_64")
    refused = scripts.run("setup.sh", "--upgrade", "--image", OTHER_IMAGE)
    assert f"--image {OTHER_IMAGE}: it is for x86_64, and the hosts' types are arm64" in refused.errors
    refused = scripts.run("setup.sh", "--upgrade", "--image", "ami-0")
    assert "--image ami-0: there is no such image in us-east-1, or it is not available" in refused.errors
    upgraded = _done(scripts.run("setup.sh", "--upgrade", "--image", OWN_IMAGE))
    assert "the stack is UPDATE_COMPLETE" in upgraded.errors
    found = region.parameters(NAME)
    assert found["BundleSha256"] != program
    assert (found["ImageId"], found["PreviousImageId"]) == (OWN_IMAGE, NEW_IMAGE)
    assert "the stack is up to date" in _done(scripts.run("setup.sh")).errors


def test_an_upgrade_waits_until_both_managers_serve(tmp_path: Path, emulator: Emulator) -> None:
    region = emulator.region("eu-west-3")
    scripts = _deployed(tmp_path, region)
    region.simulate("health/B", "initial")
    refused = scripts.run("setup.sh", "--set", "WAIT_WEIGHT=2", WORKMANAGER_HEALTHY_SECONDS="2")
    assert refused.exit_code == 1
    assert "error: the load balancer has 1 healthy managers, and replacing one could leave none" in refused.errors
    # What replaces no manager goes on.
    _done(scripts.run("setup.sh", "--alarm-email", "me@example.com", WORKMANAGER_HEALTHY_SECONDS="1"))
    region.simulate("health/B", "healthy")
    # This one turns traces on: hosts must reach the collector.
    assert _collector_rules(region) == []
    _done(
        scripts.run("setup.sh", "--set", "TRACES=linked", "--set", "OTEL_EXPORTER_OTLP_ENDPOINT=http://c.internal:4318")
    )
    assert _collector_rules(region) == [
        f"{NAME}-{group} 4318 {half}"
        for group in ("ManagerGroup", "WorkerGroup")
        for half in ("0.0.0.0/1", "128.0.0.0/1")
    ]


def test_a_run_waits_for_an_operation_and_continues_a_rollback_that_failed(tmp_path: Path, emulator: Emulator) -> None:
    region = emulator.region("eu-north-1")
    scripts = _deployed(tmp_path, region)
    region.simulate("stack", f"{NAME} UPDATE_IN_PROGRESS 2")
    waited = _done(scripts.run("setup.sh", "--max-workers", "9"))
    assert "the stack is UPDATE_IN_PROGRESS; waiting until that is over" in waited.errors
    region.simulate("stack", f"{NAME} UPDATE_ROLLBACK_FAILED")
    _done(scripts.run("setup.sh", "--min-workers", "1"))
    found = region.parameters(NAME)
    assert (found["MinWorkers"], found["MaxWorkers"]) == ("1", "9")


def test_teardown_waits_for_the_certificate_and_tells_what_is_left(tmp_path: Path, emulator: Emulator) -> None:
    region = emulator.region("ap-south-1")
    tags = [{"Key": "workmanager:cluster", "Value": NAME}, {"Key": "workmanager:role", "Value": "image"}]
    ec2 = region.client("ec2")
    (builder,) = ec2.run_instances(  # that bake.sh could not end
        ImageId=f"{IMAGE}0", MinCount=1, MaxCount=1, TagSpecifications=[{"ResourceType": "instance", "Tags": tags}]
    )["Instances"]
    empty = region.inventory()  # with the builder's disk, which the emulator leaves
    scripts = _deployed(tmp_path, region)
    region.simulate("in-use-seconds", "1000000")
    left = scripts.run("teardown.sh", "--yes", WORKMANAGER_RELEASE_SECONDS="1")
    assert left.exit_code == 1
    lines = left.errors.splitlines()
    assert "teardown: not everything could be deleted; run this again later. There is still:" in lines
    assert [line.split()[0] for line in lines if line.startswith("  ")] == ["certificate"]
    (found,) = ec2.describe_instances(InstanceIds=[builder["InstanceId"]])["Reservations"]
    assert found["Instances"][0]["State"]["Name"] == "terminated"
    # All the rest is gone. The next run finds the certificate, although the stack is gone.
    after = region.inventory()
    assert {kind for kind in empty if after[kind] != empty[kind]} == {"certificates", "buckets"}
    region.simulate("in-use-seconds", "0")
    _done(scripts.run("teardown.sh", "--yes", "--purge"))
    assert region.inventory() == empty


def test_teardown_names_the_endpoint_of_guardduty_that_keeps_the_network(tmp_path: Path, emulator: Emulator) -> None:
    region = emulator.region("ap-northeast-1")
    scripts = _deployed(tmp_path, region)
    ec2, stack = region.client("ec2"), region.client("cloudformation")
    network = stack.describe_stack_resource(StackName=NAME, LogicalResourceId="Vpc")["StackResourceDetail"]
    made = ec2.create_vpc_endpoint(
        VpcId=network["PhysicalResourceId"],
        VpcEndpointType="Interface",
        ServiceName=f"com.amazonaws.{region.name}.guardduty-data",
        TagSpecifications=[
            {"ResourceType": "vpc-endpoint", "Tags": [{"Key": "GuardDutyManaged", "Value": "true"}]},
        ],
    )["VpcEndpoint"]["VpcEndpointId"]
    left = scripts.run("teardown.sh", "--yes", WORKMANAGER_RELEASE_SECONDS="1")
    assert left.exit_code == 1
    assert f"aws ec2 delete-vpc-endpoints --region {region.name} --vpc-endpoint-ids {made}" in left.errors
    assert f"  stack {NAME} (DELETE_FAILED)" in left.errors.splitlines()
    ec2.delete_vpc_endpoints(VpcEndpointIds=[made])
    _done(scripts.run("teardown.sh", "--yes", "--purge"))


def test_setup_right_after_a_teardown_waits_for_the_names_of_secrets(tmp_path: Path, emulator: Emulator) -> None:
    region = emulator.region("sa-east-1")
    scripts = _deployed(tmp_path, region, "--max-workers", "9")
    _done(scripts.run("teardown.sh", "--yes"))
    region.simulate("secret-seconds", "25")
    again = _done(scripts.run("setup.sh", WORKMANAGER_POLL_SECONDS="1"))
    assert "the stack is CREATE_COMPLETE" in again.errors
    # A torn-down cluster's options are forgotten.
    assert region.parameters(NAME)["MaxWorkers"] == "20"


def _collector_rules(region: Region) -> list[str]:
    """Return the security groups whose hosts may connect to the collector's port."""
    groups = region.client("ec2").describe_security_groups()["SecurityGroups"]
    return sorted(
        f"{group['GroupName']} {rule['FromPort']} {rule['IpRanges'][0]['CidrIp']}"
        for group in groups
        for rule in group["IpPermissionsEgress"]
        if rule.get("IpRanges") and rule.get("FromPort") == 4318
    )


def _deployed(tmp_path: Path, region: Region, *options: str) -> Scripts:
    scripts = Scripts(tmp_path, {**region.emulator.environ, "AWS_REGION": region.name})
    _done(scripts.run("setup.sh", *options))
    return scripts


def _done(result: ScriptResult) -> ScriptResult:
    assert result.exit_code == 0, result.errors
    return result
