"""The real deployment scripts against an emulated AWS that keeps state but starts no hosts (`ministack_server.py`)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.exceptions import BotoCoreError

from tests.infra.tools import MINISTACK, fast_aws, fast_waiters_environment
from tests.ports import pick_port
from tests.waiting import until

ROOT = Path(__file__).parents[2]
IMAGE = "ami-0123456789abcdef"
"""Without its last digit: 0 for arm64, 1 for x86_64."""
IMAGES = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-"
SCRIPT_TIMEOUT_SECONDS = 400.0
"""On a busy machine; 20 are usual."""
# Replaces the steps that need a package index or hosts, which tests/acceptance/deploy tests.
FAKE_PYTHON = """#!/bin/bash
case "$*" in
"-m infra.bundle "*)
    tree="$(mktemp -d)"
    cp "$BUNDLE" "$tree/program"
    while [ $# -gt 0 ]; do
        [ "$1" != --output ] || output="$2"
        case "$1 $2" in
        "--set OTEL_"*) echo "$2" >>"$tree/bundle.env" ;;
        "--set "*) echo "WORKMANAGER_$2" >>"$tree/bundle.env" ;;
        esac
        shift
    done
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$tree" -cf - . | gzip -n >"$tree.tar.gz"
    sha256="$(sha256sum <"$tree.tar.gz" | cut -d ' ' -f 1)"
    mv "$tree.tar.gz" "$output/$sha256.tar.gz"
    echo "$output/$sha256.tar.gz"
    ;;
"-m infra.smoke "*) ;;
*) exec PYTHON "$@" ;;
esac
"""


class Emulator:
    """An emulated, empty AWS in a process of its own."""

    def __init__(self, directory: Path) -> None:
        MINISTACK.ensure()
        port = pick_port()
        self.environ = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
        self._log = directory / "ministack.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [MINISTACK.python, "-m", "tests.infra.ministack_server"],
                cwd=ROOT,
                env={**os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "TMPDIR": str(directory)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Self:
        until(self._answers, wanted=f"an answer of ministack ({self._log})")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def region(self, name: str) -> "Region":
        """Return a region that is empty but for Amazon's images."""
        region = Region(self, name)
        for number, architecture in enumerate(("arm64", "x86_64")):
            region.client("ssm").put_parameter(Name=f"{IMAGES}{architecture}", Value=f"{IMAGE}{number}", Type="String")
        return region

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            Region(self, "us-east-1").client("sts").get_caller_identity()
        except BotoCoreError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Region:
    """A region of an emulator."""

    emulator: Emulator
    name: str

    def client(self, service: str) -> Any:
        """Return boto3's client for this region."""
        environ = self.emulator.environ
        return boto3.client(
            service,
            region_name=self.name,
            endpoint_url=environ["AWS_ENDPOINT_URL"],
            aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        )

    def simulate(self, name: str, value: str) -> None:
        """Set what AWS refuses or does late, by a name of `_simulated` in `ministack_limits.py`."""
        self.client("ssm").put_parameter(Name=f"/simulation/{name}", Value=value, Type="String", Overwrite=True)

    def parameters(self, stack: str) -> dict[str, str]:
        """Return the parameters of a stack."""
        (found,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
        return {one["ParameterKey"]: one["ParameterValue"] for one in found["Parameters"]}

    def inventory(self) -> Mapping[str, list[str]]:
        """Return the ids or names of all resources of the kinds that a deployment creates."""
        ec2, iam = self.client("ec2"), self.client("iam")
        found = {
            "volumes": [one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]],
            "interfaces": [one["NetworkInterfaceId"] for one in ec2.describe_network_interfaces()["NetworkInterfaces"]],
            "groups": [one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]],
            "networks": [one["VpcId"] for one in ec2.describe_vpcs()["Vpcs"]],
            "subnets": [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]],
            "gateways": [one["InternetGatewayId"] for one in ec2.describe_internet_gateways()["InternetGateways"]],
            "routes": [one["RouteTableId"] for one in ec2.describe_route_tables()["RouteTables"]],
            "endpoints": [one["VpcEndpointId"] for one in ec2.describe_vpc_endpoints()["VpcEndpoints"]],
            "templates": [one["LaunchTemplateId"] for one in ec2.describe_launch_templates()["LaunchTemplates"]],
            "scaling groups": [
                one["AutoScalingGroupName"]
                for one in self.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
            ],
            "balancers": [
                one["LoadBalancerArn"] for one in self.client("elbv2").describe_load_balancers()["LoadBalancers"]
            ],
            "targets": [one["TargetGroupArn"] for one in self.client("elbv2").describe_target_groups()["TargetGroups"]],
            "secrets": [one["ARN"] for one in self.client("secretsmanager").list_secrets()["SecretList"]],
            "certificates": [
                one["CertificateArn"] for one in self.client("acm").list_certificates()["CertificateSummaryList"]
            ],
            # Without the service-linked role for spot instances, which belongs to the account.
            "roles": [one["RoleName"] for one in iam.list_roles()["Roles"] if "AWSServiceRole" not in one["RoleName"]],
            "profiles": [one["InstanceProfileName"] for one in iam.list_instance_profiles()["InstanceProfiles"]],
            "logs": [one["logGroupName"] for one in self.client("logs").describe_log_groups()["logGroups"]],
            "alarms": [one["AlarmName"] for one in self.client("cloudwatch").describe_alarms()["MetricAlarms"]],
            "topics": [one["TopicArn"] for one in self.client("sns").list_topics()["Topics"]],
            "buckets": [one["Name"] for one in self.client("s3").list_buckets()["Buckets"]],
            "stacks": [one["StackName"] for one in self.client("cloudformation").describe_stacks()["Stacks"]],
        }
        return {kind: sorted(ones) for kind, ones in found.items()}


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """Exit code and output of a script."""

    exit_code: int
    output: str
    errors: str


class Scripts:
    """The scripts in a project with a ready virtual environment, so that they install nothing.

    Attributes:
        bundle: the file from which hosts would boot.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self._root = directory / "project"
        programs = self._root / ".venv/bin"
        programs.mkdir(parents=True)
        for name in ("scripts", "infra", "workmanager", "pyproject.toml"):
            (self._root / name).symlink_to(ROOT / name)
        for file in ROOT.glob("requirements*.txt"):
            (self._root / file.name).symlink_to(file)
        (programs / "python").write_text(FAKE_PYTHON.replace("PYTHON", sys.executable))
        (programs / "python").chmod(0o755)
        (programs / "aws").symlink_to(fast_aws())
        self.bundle = directory / "bundle"
        self.bundle.write_text("first")
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(directory),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "TMPDIR": str(directory),
            "BUNDLE": str(self.bundle),
            "WORKMANAGER_POLL_SECONDS": "0.2",
            **fast_waiters_environment(directory),
            **environ,
        }
        ready = '. scripts/_venv.sh && _fingerprint deploy >"$root/.venv/.ready-deploy"'
        subprocess.run([shutil.which("bash") or "bash", "-c", ready], cwd=self._root, check=True)

    def add_program(self, name: str, commands: str) -> None:
        """Put a program, which bash runs, in place of the machine's own."""
        program = self._root / ".venv/bin" / name
        program.write_text(f"#!/bin/bash\n{commands}\n")
        program.chmod(0o755)

    def edit(self, file: str, text: str) -> None:
        """Append a text to a file of this project alone."""
        folder = self._root / Path(file).parts[0]
        source = folder.resolve()
        folder.unlink()
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))
        with (self._root / file).open("a") as opened:
            opened.write(text)

    def run(self, script: str, *options: str, typed: str = "", **environ: str) -> ScriptResult:
        """Run a script of the directory `scripts`; `typed` is its standard input."""
        done = subprocess.run(
            [str(self._root / "scripts" / script), *options],
            env={**self._environ, **environ},
            input=typed,
            capture_output=True,
            text=True,
            timeout=SCRIPT_TIMEOUT_SECONDS,
            check=False,
        )
        return ScriptResult(done.returncode, done.stdout, done.stderr)
