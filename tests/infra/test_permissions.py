"""What each IAM role may and may not do, evaluated from the template's policies."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from moto.utilities.utils import get_partition

from benchmarks.harness.environments import Environment
from tests.infra.stack import ACCOUNT, IMAGE, NAME, REGION, Stack, deployed_stack

SIMULATOR = Environment("iam-simulate", ("@cloud-copilot/iam-simulate@0.1.173",), node=True)
EC2 = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
INSTANCE = f"{EC2}:instance/i-0123456789abcdef0"
S3 = "arn:aws:s3:::a-bucket"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"


@dataclass(frozen=True, slots=True)
class Case:
    """One call, and whether it is allowed. `{Name}` stands for a resource of the stack."""

    role: str
    allowed: bool
    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def tagged(role: str, cluster: str = NAME, kind: str = "Resource") -> Mapping[str, str]:
    return {f"aws:{kind}Tag/workmanager:cluster": cluster, f"aws:{kind}Tag/workmanager:role": role}


TEMPLATE = {"ec2:LaunchTemplate": f"{EC2}:launch-template/{{WorkerTemplate}}"}
WORKER = {**TEMPLATE, "ec2:InstanceType": "c7g.xlarge"}
OLD_IMAGE, OLD_TYPE = "ami-00000000000000001", "c5.4xlarge"
OTHER_TEMPLATE = {"ec2:LaunchTemplate": f"{EC2}:launch-template/lt-0fedcba9876543210"}
LAUNCHED = {"ec2:CreateAction": "RunInstances", **tagged("worker", kind="Request")}
TO_EC2 = {"iam:PassedToService": "ec2.amazonaws.com"}
METRICS = {"cloudwatch:namespace": "workmanager"}
OTHER_SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:somebody-elses-AbCdEf"
LOG_STREAMS = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/workmanager/{NAME}:log-stream:"
OTHER_LOG_STREAM = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:other:log-stream:a"

CASES = [
    # The scaler launches workers from its template, and nothing else.
    Case("ManagerRole", True, "ec2:DescribeInstances", "*"),
    Case("ManagerRole", True, "ec2:RunInstances", f"{EC2}:instance/*", WORKER),
    Case("ManagerRole", False, "ec2:RunInstances", f"{EC2}:instance/*", {**WORKER, "ec2:InstanceType": "p5.48xlarge"}),
    # An upgrade changes roles before hosts: what the old managers launch is allowed as long as they run.
    Case("ManagerRole", True, "ec2:RunInstances", f"{EC2}:instance/*", {**WORKER, "ec2:InstanceType": OLD_TYPE}),
    Case("ManagerRole", True, "ec2:RunInstances", f"arn:aws:ec2:{REGION}::image/{OLD_IMAGE}"),
    Case("ManagerRole", True, "ec2:RunInstances", f"{EC2}:volume/*", TEMPLATE),
    Case("ManagerRole", True, "ec2:RunInstances", f"{EC2}:network-interface/*", TEMPLATE),
    Case("ManagerRole", True, "ec2:RunInstances", f"{EC2}:spot-instances-request/*"),
    Case("ManagerRole", True, "ec2:RunInstances", f"{EC2}:launch-template/{{WorkerTemplate}}"),
    Case("ManagerRole", True, "ec2:RunInstances", f"arn:aws:ec2:{REGION}::image/{IMAGE}"),
    Case("ManagerRole", True, "ec2:RunInstances", f"{EC2}:subnet/{{SubnetC}}"),
    Case("ManagerRole", True, "ec2:RunInstances", f"{EC2}:security-group/{{WorkerGroup}}"),
    Case("ManagerRole", False, "ec2:RunInstances", f"{EC2}:instance/*"),
    Case("ManagerRole", False, "ec2:RunInstances", f"{EC2}:instance/*", {**WORKER, **OTHER_TEMPLATE}),
    Case("ManagerRole", False, "ec2:RunInstances", f"{EC2}:launch-template/{{ManagerATemplate}}"),
    Case("ManagerRole", False, "ec2:RunInstances", f"arn:aws:ec2:{REGION}::image/ami-0fedcba9876543210"),
    Case("ManagerRole", False, "ec2:RunInstances", f"{EC2}:subnet/subnet-0fedcba9876543210"),
    Case("ManagerRole", False, "ec2:RunInstances", f"{EC2}:security-group/{{StoreGroup}}"),
    Case("ManagerRole", False, "ec2:RunInstances", f"{EC2}:key-pair/mine"),
    Case("ManagerRole", False, "ec2:CreateLaunchTemplateVersion", f"{EC2}:launch-template/{{WorkerTemplate}}"),
    # It tags the instances that it launches, at their launch only.
    Case("ManagerRole", True, "ec2:CreateTags", f"{EC2}:instance/*", LAUNCHED),
    Case("ManagerRole", True, "ec2:CreateTags", f"{EC2}:volume/*", LAUNCHED),
    Case("ManagerRole", False, "ec2:CreateTags", INSTANCE, tagged("worker", kind="Request")),
    Case("ManagerRole", False, "ec2:CreateTags", INSTANCE, {**LAUNCHED, **tagged("manager", kind="Request")}),
    Case("ManagerRole", False, "ec2:CreateTags", INSTANCE, {**LAUNCHED, **tagged("worker", "other", "Request")}),
    Case("ManagerRole", False, "ec2:DeleteTags", INSTANCE, tagged("worker")),
    # It terminates this cluster's workers.
    Case("ManagerRole", True, "ec2:TerminateInstances", INSTANCE, tagged("worker")),
    Case("ManagerRole", False, "ec2:TerminateInstances", INSTANCE, tagged("manager")),
    Case("ManagerRole", False, "ec2:TerminateInstances", INSTANCE, tagged("witness")),
    Case("ManagerRole", False, "ec2:TerminateInstances", INSTANCE, tagged("worker", "other")),
    Case("ManagerRole", False, "ec2:TerminateInstances", INSTANCE),
    Case("ManagerRole", False, "ec2:StopInstances", INSTANCE, tagged("worker")),
    # It passes the workers' role to EC2, and no other role.
    Case("ManagerRole", True, "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{{WorkerRole}}", TO_EC2),
    Case("ManagerRole", False, "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{{ManagerRole}}", TO_EC2),
    Case(
        *("ManagerRole", False, "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{{WorkerRole}}"),
        {"iam:PassedToService": "lambda.amazonaws.com"},
    ),
    # A host attaches its own disk and address, to itself only.
    Case("ManagerRole", True, "ec2:AttachVolume", f"{EC2}:volume/{{DiskA}}"),
    Case("ManagerRole", True, "ec2:AttachVolume", INSTANCE, tagged("manager")),
    Case("ManagerRole", False, "ec2:AttachVolume", f"{EC2}:volume/{{DiskW}}"),
    Case("ManagerRole", False, "ec2:AttachVolume", INSTANCE, tagged("worker")),
    Case("ManagerRole", True, "ec2:AttachNetworkInterface", f"{EC2}:network-interface/{{AddressB}}"),
    Case("ManagerRole", False, "ec2:AttachNetworkInterface", f"{EC2}:network-interface/eni-0fedcba9876543210"),
    Case("WitnessRole", True, "ec2:AttachVolume", f"{EC2}:volume/{{DiskW}}"),
    Case("WitnessRole", False, "ec2:AttachVolume", f"{EC2}:volume/{{DiskA}}"),
    # Managers read bundles, and write packages and backups. Workers read bundles and packages.
    Case("ManagerRole", True, "s3:GetObject", f"{S3}/bundle/a.tar.gz"),
    Case("ManagerRole", True, "s3:PutObject", f"{S3}/runtime/ami.tar"),
    Case("ManagerRole", True, "s3:PutObject", f"{S3}/backup/manager-a/x"),
    Case("ManagerRole", False, "s3:PutObject", f"{S3}/bundle/a.tar.gz"),
    Case("ManagerRole", False, "s3:GetObject", f"{S3}/backup/manager-a/x"),
    Case("ManagerRole", False, "s3:DeleteObject", f"{S3}/backup/manager-a/x"),
    Case("WorkerRole", True, "s3:GetObject", f"{S3}/bundle/a.tar.gz"),
    Case("WorkerRole", True, "s3:GetObject", f"{S3}/runtime/ami.tar"),
    Case("WorkerRole", False, "s3:PutObject", f"{S3}/runtime/ami.tar"),
    Case("WorkerRole", False, "s3:GetObject", "arn:aws:s3:::another-bucket/bundle/a.tar.gz"),
    Case("WorkerRole", False, "s3:GetObject", f"{S3}/backup/manager-a/x"),
    # Each role reads only the secrets that it needs.
    Case("ManagerRole", True, "secretsmanager:GetSecretValue", "{ApiKeys}"),
    Case("ManagerRole", True, "secretsmanager:GetSecretValue", "{StoreWorkerPassword}"),
    Case("ManagerRole", False, "secretsmanager:GetSecretValue", OTHER_SECRET),
    Case("ManagerRole", False, "secretsmanager:PutSecretValue", "{ApiKeys}"),
    Case("WitnessRole", True, "secretsmanager:GetSecretValue", "{StoreReplicaPassword}"),
    Case("WitnessRole", False, "secretsmanager:GetSecretValue", "{ApiKeys}"),
    Case("WorkerRole", True, "secretsmanager:GetSecretValue", "{StoreWorkerPassword}"),
    Case("WorkerRole", False, "secretsmanager:GetSecretValue", "{StoreManagerPassword}"),
    Case("WorkerRole", False, "secretsmanager:GetSecretValue", "{ApiKeys}"),
    # Workers and the witness have no permissions on instances.
    Case("WorkerRole", False, "ec2:TerminateInstances", INSTANCE, tagged("worker")),
    Case("WorkerRole", False, "ec2:RunInstances", f"{EC2}:instance/*", WORKER),
    Case("WorkerRole", False, "ec2:DescribeInstances", "*"),
    Case("WitnessRole", False, "ec2:TerminateInstances", INSTANCE, tagged("worker")),
    # All hosts write to the cluster's log group. Managers publish the metrics of the alarms.
    Case("ManagerRole", True, "logs:PutLogEvents", f"{LOG_STREAMS}manager/i-1"),
    Case("WitnessRole", True, "logs:CreateLogStream", f"{LOG_STREAMS}witness/i-1"),
    Case("WorkerRole", True, "logs:PutLogEvents", f"{LOG_STREAMS}worker/i-1"),
    # A worker, which runs users' jobs, cannot write what looks like a manager's log.
    Case("WorkerRole", False, "logs:PutLogEvents", f"{LOG_STREAMS}manager/i-1"),
    Case("WorkerRole", False, "logs:PutLogEvents", OTHER_LOG_STREAM),
    Case("ManagerRole", True, "cloudwatch:PutMetricData", "*", METRICS),
    Case("ManagerRole", False, "cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": "AWS/EC2"}),
    Case("WorkerRole", False, "cloudwatch:PutMetricData", "*", METRICS),
    Case("WitnessRole", True, "cloudwatch:PutMetricData", "*", METRICS),
    # Managers may send alerts to the topic of the alarms, and to no other one.
    Case("ManagerRole", True, "sns:Publish", "{Alarms}"),
    Case("ManagerRole", False, "sns:Publish", "{Alarms}-of-another-system"),
    Case("WorkerRole", False, "sns:Publish", "{Alarms}"),
    # A new manager waits until the load balancer sends it clients.
    Case("ManagerRole", True, "elasticloadbalancing:DescribeTargetHealth", "*"),
    # Session Manager, and nothing else of SSM: AmazonSSMManagedInstanceCore reads every parameter of the account.
    *(
        Case(role, allowed, action, "*")
        for role in ("ManagerRole", "WitnessRole", "WorkerRole")
        for action, allowed in (
            ("ssmmessages:OpenDataChannel", True),
            ("ssm:UpdateInstanceInformation", True),
            ("ssm:GetParameter", False),
            ("ssm:GetParameters", False),
        )
    ),
    # Disks with a key of one's own.
    Case("ManagerRole", True, "kms:CreateGrant", KEY, {"kms:ViaService": f"ec2.{REGION}.amazonaws.com"}),
    Case("WitnessRole", True, "kms:Decrypt", KEY, {"kms:ViaService": f"ec2.{REGION}.amazonaws.com"}),
    Case("ManagerRole", False, "kms:Decrypt", KEY, {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}),
    Case("WorkerRole", False, "kms:Decrypt", KEY, {"kms:ViaService": f"ec2.{REGION}.amazonaws.com"}),
]


@pytest.fixture(scope="module", params=[REGION, "us-gov-west-1"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack during an upgrade that changes image and instance types, with a key of one's own."""
    key = _in_region(KEY, request.param)
    before = {"PreviousImageId": OLD_IMAGE, "PreviousWorkerTypes": f"c7g.xlarge,{OLD_TYPE}", "KmsKey": key}
    with deployed_stack(tmp_path_factory.mktemp("certificates"), request.param, **before) as stack:
        yield stack


def _in_region(text: str, region: str) -> str:
    """Return an ARN, or the name of a service, as it is in this region."""
    return text.replace("arn:aws:", f"arn:{get_partition(region)}:").replace(REGION, region)


@pytest.mark.parametrize("role", ["ManagerRole", "WitnessRole", "WorkerRole"])
def test_a_role_has_the_permissions_it_needs_and_no_others(stack: Stack, role: str) -> None:
    cases = [
        replace(
            case,
            resource=_in_region(case.resource, stack.region),
            context={key: _in_region(value, stack.region) for key, value in case.context.items()},
        )
        for case in CASES
        if case.role == role
    ]
    results = _simulate(stack, role, cases)
    wrong = [
        f"{case.action} on {case.resource} with {dict(case.context)}: {result}"
        for case, result in zip(cases, results, strict=True)
        if result != {"result": "Allowed" if case.allowed else "ImplicitlyDenied"}
    ]
    assert not wrong, "\n".join(wrong)


def _simulate(stack: Stack, role: str, cases: list[Case]) -> list[Any]:
    if shutil.which("npm") is None:
        pytest.skip("npm is missing: it brings the simulator of IAM policies")
    SIMULATOR.ensure()
    ids = {**stack.ids, "WorkerGroup": stack.group_id("WorkerGroup"), "StoreGroup": stack.group_id("StoreGroup")}
    simulation = {
        "account": ACCOUNT,
        "partition": get_partition(stack.region),
        "policies": stack.policies(role),
        "requests": [
            {
                "action": case.action,
                "resource": case.resource.format_map(ids),
                "context": {key: value.format_map(ids) for key, value in case.context.items()},
            }
            for case in cases
        ],
    }
    done = subprocess.run(
        ["node", str(Path(__file__).parent / "simulate.mjs")],
        input=json.dumps(simulation),
        capture_output=True,
        text=True,
        cwd=SIMULATOR.directory,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers
