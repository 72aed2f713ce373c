"""Options of setup.sh: a wrong one is refused in one line, a right one reaches the stack."""

import base64
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.certificates import make_certificates
from tests.infra.emulator import Emulator, Region, ScriptResult, Scripts
from tests.infra.networks import public_subnets

pytestmark = pytest.mark.timeout(1200)
REDIS = "rediss://workmanager:PASSWORD@redis.example:7001,other.example:7002"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for all tests; each test has a region of its own."""
    with Emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


# These need no AWS.
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--max-worker", "3"], "unknown option --max-worker"),
        (["plan"], "unexpected argument plan"),
        (["--max-workers"], "--max-workers needs a value"),
        (["--max-workers", "many"], "--max-workers many: give a number from 1"),
        (["--max-workers", "0"], "--max-workers 0: give a number from 1"),
        (["--min-workers", "-1"], "--min-workers -1: give a number"),
        (["--min-workers", "9", "--max-workers", "8"], "--min-workers 9 is more than --max-workers 8"),
        (["--on-demand-base", "x"], "--on-demand-base x: give a number"),
        (["--on-demand-max", "some"], "--on-demand-max some: give a number, or none"),
        (["--on-demand-base", "3", "--on-demand-max", "2"], "--on-demand-base 3 is more than --on-demand-max 2"),
        (["--allow-cidr", "10.0.0.0"], "--allow-cidr 10.0.0.0: give an IPv4 range, A.B.C.D/BITS"),
        (["--allow-cidr", "10.0.0.256/8"], "--allow-cidr 10.0.0.256/8: 256 is more than 255"),
        (["--allow-cidr", "10.0.0.0/33"], "--allow-cidr 10.0.0.0/33: the prefix length is at most 32"),
        (["--region", "here"], "--region here: give the name of a region, such as us-east-1"),
        (["--certificate-arn", "mine"], "--certificate-arn mine: give arn:aws:acm:REGION:ACCOUNT:certificate/ID"),
        (["--subnets", "subnet-1,subnet-2"], "--subnets subnet-1,subnet-2: give three subnets, separated by commas"),
        (["--worker-types", "large"], "--worker-types large: give EC2 instance types, separated by commas"),
        (["--manager-type", "m7g.large,m7g.large"], "--manager-type m7g.large,m7g.large: give an EC2 instance type"),
        (["--redis-url", "rediss://a:b@c:6379"], "with the literal word PASSWORD"),
        (["--redis-url", "redis.example"], "--redis-url: give redis[s]://"),
        (["--redis-url", "redis://:secret@c#1"], "--redis-url: give redis[s]://"),
        (["--redis-url=redis://:secret@c"], "--redis-url: give the value as the next argument, without ="),
        (["-x"], "unknown option -x"),
        (["--image", "mine"], "--image mine: give the id of an image, ami-…"),
        (["--image", "ami-1", "--upgrade-image"], "--image: that is another image than the one of --upgrade-image"),
        (["--alarm-email", "me"], "--alarm-email me: give an e-mail address, NAME@DOMAIN"),
        (["--set", "wait weight=1"], "--set wait weight=1: give NAME=VALUE"),
        (["--set", "OTEL_EXPORTER_OTLP_HEADERS=secret"], "--set OTEL_EXPORTER_OTLP_HEADERS: jobs could read it"),
        (["--app", "/nowhere"], "--app /nowhere: no such directory"),
    ],
)
def test_a_usage_error_is_one_line(tmp_path: Path, options: list[str], reason: str) -> None:
    result = Scripts(tmp_path, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}).run("setup.sh", *options)
    assert (result.exit_code, result.output) == (2, "")
    (line,) = result.errors.splitlines()
    assert line.startswith("setup: error: ")
    assert reason in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--bar"], "unknown option --bar"),
        (["-x"], "unknown option -x"),
        (["--name=mine"], "--name: give the value as the next argument, without ="),
        (["--name"], "--name needs a value"),
        (["mine"], "unexpected argument mine"),
    ],
)
def test_a_usage_error_of_teardown_is_one_line(tmp_path: Path, options: list[str], reason: str) -> None:
    scripts = Scripts(tmp_path, {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    result = scripts.run("teardown.sh", *options)
    assert (result.exit_code, result.output, result.errors) == (2, "", f"teardown: error: {reason} (see --help)\n")
    assert scripts.run("teardown.sh", "--help").output.startswith("Deletes a deployment of setup.sh")


def test_a_missing_prerequisite_is_reported_in_one_line(tmp_path: Path, emulator: Emulator) -> None:
    scripts = Scripts(tmp_path, {"AWS_REGION": "us-east-1"})
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "cat", "cksum", "mkdir", "sed", "env"):
        (tools / name).symlink_to(shutil.which(name) or name)
    assert _refusal(scripts.run("setup.sh", PATH=str(tools))) == (
        "aws-cli is not installed; install it and configure credentials"
    )
    unknown = scripts.run("setup.sh", AWS_CONFIG_FILE="/nowhere", AWS_EC2_METADATA_DISABLED="true")
    assert _refusal(unknown).startswith("cannot authenticate to AWS: Unable to locate credentials")
    nowhere = scripts.run("setup.sh", AWS_REGION="", AWS_CONFIG_FILE="/nowhere")
    assert _refusal(nowhere) == "no region is set; give --region, or set AWS_REGION"
    misnamed = scripts.run("setup.sh", "--name", "Mine", **emulator.environ)
    assert _refusal(misnamed) == "--name Mine: use a letter a-z, then 1 to 30 of a-z, 0-9 and '-'"


def test_what_aws_does_not_have_is_refused_before_anything_is_created(tmp_path: Path, emulator: Emulator) -> None:
    region = emulator.region("us-west-2")
    scripts = Scripts(tmp_path, {**emulator.environ, "AWS_REGION": region.name})
    subnets, before = public_subnets(region), region.inventory()
    arn = "arn:aws:acm:us-west-2:000000000000:certificate/none"
    for options, reason in (
        (["--worker-types", "c7g.xlarge,c77.large"], "do not exist: [c77.large]"),
        (["--worker-types", "c7i.large,c7g.xlarge"], "all hosts must have the same architecture, but these do not: "),
        (["--worker-types", "c7i.large", "--manager-type", "m7g.large"], "all hosts must have the same architecture"),
        (
            ["--worker-types", "c7i.large", "--manager-type", "m4.large"],
            "--manager-type m4.large: give a type of the Nitro",
        ),
        (["--manager-type", "x2gd.large"], "us-west-2 has fewer than three zones with x2gd.large t4g.micro"),
        (["--certificate-arn", arn], f"--certificate-arn: us-west-2 has no certificate {arn}"),
        (["--subnets", f"{subnets[0]},{subnets[1]},subnet-00"], "--subnets: us-west-2 has no subnet-00"),
        (
            ["--subnets", f"{subnets[0]},{subnets[1]},{subnets[1]}"],
            "give three subnets in three different zones",
        ),
        (["--redis-url", REDIS], "--redis-url: set WORKMANAGER_REDIS_PASSWORD to the password"),
        (["--min-workers", "30"], "--min-workers 30 is more than --max-workers 20"),
    ):
        result = scripts.run("setup.sh", *options)
        assert result.exit_code, result
        errors = [line for line in result.errors.splitlines() if "error: " in line]
        assert len(errors) == 1, result
        assert reason in errors[0]
    assert region.inventory() == before


def test_all_options_reach_the_stack(tmp_path: Path, emulator: Emulator) -> None:
    region = emulator.region("eu-west-1")
    scripts = Scripts(tmp_path, emulator.environ)
    subnets = public_subnets(region)
    make_certificates("mine", region.name, tmp_path, datetime.now(UTC))
    # It belongs to another cluster, whose name contains this one's.
    certificate = region.client("acm").import_certificate(
        Certificate=(tmp_path / "balancer.pem").read_bytes(),
        PrivateKey=(tmp_path / "balancer.key").read_bytes(),
        Tags=[{"Key": "workmanager:cluster", "Value": "not-given"}],
    )["CertificateArn"]
    before = region.inventory()
    options = [
        *("--name", "given", "--region", region.name, "--subnets", ",".join(subnets), "--redis-url", REDIS),
        *("--certificate-arn", certificate, "--allow-cidr", "192.0.2.0/24", "--alarm-email", "me@example.com"),
        *("--min-workers", "2", "--max-workers", "9", "--on-demand-base", "1", "--worker-types", "c7i.large"),
        *("--on-demand-max", "4", "--log-days", "7", "--monthly-budget", "100"),
    ]
    planned = scripts.run("setup.sh", *options, "--plan", WORKMANAGER_REDIS_PASSWORD="s3cret")
    assert planned.exit_code == 0, planned.errors
    kinds = {line.split()[2] for line in planned.output.splitlines()}
    assert not kinds & {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::Volume", "AWS::EC2::NetworkInterface"}
    assert region.inventory() == before

    # The second zone does not have this type. The stack is rolled back, and the next run creates it again.
    failed = scripts.run("setup.sh", *options, "--manager-type", "t3.micro", WORKMANAGER_REDIS_PASSWORD="s3cret")
    assert failed.exit_code == 1
    assert "(ROLLBACK_COMPLETE), because of\nsetup:   ManagerB: You must use a valid" in failed.errors
    left = region.inventory()
    assert {kind for kind in before if left[kind] != before[kind]} == {"buckets", "secrets", "stacks"}
    planned = scripts.run("setup.sh", *options, "--plan")
    assert "error: the stack is ROLLBACK_COMPLETE; run setup.sh without --plan" in planned.errors

    options += ["--manager-type", "m7i.large"]
    made = scripts.run("setup.sh", *options, WORKMANAGER_REDIS_PASSWORD="s3cret")
    assert made.exit_code == 0, made.errors
    assert "certificate authority" not in made.output
    assert "s3cret" not in made.output + made.errors
    after = region.inventory()
    for kind in ("networks", "subnets", "volumes", "interfaces", "certificates", "gateways", "routes", "endpoints"):
        assert after[kind] == before[kind], kind
    _check_resources(region, subnets, certificate)

    # Options that are not given keep their values, the password too.
    again = scripts.run("setup.sh", "--name", "given", "--region", region.name)
    assert "setup: the stack is up to date" in again.errors
    kept = region.parameters("given")
    wanted = {
        "OnDemandBase": "1",
        "OnDemandMax": "4",
        "LogDays": "7",
        "MonthlyBudget": "100",
        "AllowCidr": "192.0.2.0/24",
    }
    assert {name: kept[name] for name in wanted} == wanted
    # A new API key replaces the managers, one after the other, and nothing else.
    keys = region.client("secretsmanager")
    keys.put_secret_value(SecretId="given/api-keys", SecretString="new,old")
    planned = scripts.run("setup.sh", "--name", "given", "--region", region.name, "--plan")
    changed = {line.split()[1] for line in planned.output.splitlines()}
    assert changed == {"ManagerA", "ManagerB", "ManagerATemplate", "ManagerBTemplate"}
    # Redis gets the port of the traces' collector, and the collector that of Redis.
    place = ("--name", "given", "--region", region.name)
    for port, options in (("4318", []), ("7001", ["--redis-url", REDIS.replace(":7001", ":4318")])):
        traces = ("--set", "TRACES=linked", "--set", f"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.internal:{port}")
        changed_ports = scripts.run("setup.sh", *place, *traces, *options)
        assert changed_ports.exit_code == 0, changed_ports.errors
    kept = region.parameters("given")
    assert (kept["RedisPort"], kept["TracesPort"]) == ("4318", "7001")
    moved = ",".join(reversed(subnets))
    refused = scripts.run("setup.sh", "--name", "given", "--region", region.name, "--subnets", moved)
    assert "error: --subnets: the cluster given is in other subnets; use another --name" in refused.errors


def _check_resources(region: Region, subnets: list[str], certificate: str) -> None:
    groups = region.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert sorted(group["VPCZoneIdentifier"] for group in groups) == sorted(subnets[:2])  # no witness
    elb = region.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    assert listener["Certificates"] == [{"CertificateArn": certificate}]
    assert {zone["SubnetId"] for zone in balancer["AvailabilityZones"]} == set(subnets[:2])
    (front,) = region.client("ec2").describe_security_groups(GroupIds=balancer["SecurityGroups"])["SecurityGroups"]
    (ingress,) = front["IpPermissions"]
    assert [one["CidrIp"] for one in ingress["IpRanges"]] == ["192.0.2.0/24"]
    sns = region.client("sns")
    (topic,) = sns.list_topics()["Topics"]
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=topic["TopicArn"])["Subscriptions"]
    assert subscription["Endpoint"] == "me@example.com"
    secret = region.client("secretsmanager").get_secret_value(SecretId="given/redis-password")
    assert secret["SecretString"] == "s3cret"
    managers = [_user_data(region, group["LaunchTemplate"]) for group in groups]
    for text in managers:
        assert f"REDIS_URL='{REDIS}'" in text
        assert f"REDIS_SECRET='{secret['ARN']}'" in text
        assert "STORES=''" in text
        assert "CLUSTER_HOSTS=''" in text  # managers administer no cluster
        assert "MIN_WORKERS='2'" in text
        assert "MAX_WORKERS='9'" in text
        assert "ON_DEMAND_BASE='1'" in text
        assert "ON_DEMAND_MAX='4'" in text
        assert "WORKER_SLOTS='2'" in text
        assert f"SUBNETS='{','.join(subnets)}'" in text
        assert "s3cret" not in text

    redis_ports = [
        (rule["FromPort"], rule["ToPort"])
        for group in region.client("ec2").describe_security_groups()["SecurityGroups"]
        if group["GroupName"] in ("given-ManagerGroup", "given-WorkerGroup")
        for rule in group["IpPermissionsEgress"]
    ]
    assert redis_ports.count((7001, 7001)) == 2


def _user_data(region: Region, template: dict[str, Any]) -> str:
    versions = region.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=template["LaunchTemplateId"], Versions=[template["Version"]]
    )["LaunchTemplateVersions"]
    return base64.b64decode(versions[0]["LaunchTemplateData"]["UserData"]).decode()


def _refusal(result: ScriptResult) -> str:
    assert (result.exit_code, result.output) == (1, ""), result
    (line,) = result.errors.splitlines()
    return line.removeprefix("setup: error: ")
