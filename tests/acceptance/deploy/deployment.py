"""A simulated AWS for setup.sh and teardown.sh, and for clients of what they deploy."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from botocore.loaders import Loader

from benchmarks.harness.environments import Environment
from tests.ec2.simulated_cloud import REGION, SimulatedCloud
from tests.infra.host_image import commands
from tests.infra.moto_stacks import patch_moto
from tests.infra.rollout import Rollouts
from tests.infra.stack_load_balancer import StackLoadBalancer

ROOT = Path(__file__).parents[3]
AWS_CLI = Environment("awscli", ("awscli==1.46.2",))
SCRIPT_SECONDS = 600
POLL_SECONDS = 1
"""Poll interval of `aws … wait`. It is 15 or 30 seconds by default, but the simulation takes seconds."""


class Deployment:
    """The simulated AWS, and the scripts that run against it.

    Attributes:
        cloud: the simulated AWS.
        rollouts: which hosts were replaced.
        way_in: the load balancer.
        authority: the file of the certificate authority, which setup.sh writes.
    """

    def __init__(
        self, directory: Path, cloud: SimulatedCloud, rollouts: Rollouts, load_balancer: StackLoadBalancer, wheels: Path
    ) -> None:
        self.cloud = cloud
        self.rollouts = rollouts
        self.load_balancer = load_balancer
        self.authority = directory / f"config/workmanager/workmanager-{REGION}-ca.pem"
        programs = directory / "programs"
        programs.mkdir()
        (programs / "aws").symlink_to(AWS_CLI.program("aws"))
        _speed_up_waiters(directory / "models")
        self._hosts = directory / "hosts"
        self._environ = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            **cloud.environ,
            "AWS_REGION": REGION,
            "AWS_DATA_PATH": str(directory / "models"),
            "XDG_CONFIG_HOME": str(directory / "config"),
            # The simulated network cannot reach a package index.
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
        }

    @property
    def api_key(self) -> str:
        """The API key of clients."""
        secret = self.cloud.client("secretsmanager").get_secret_value(SecretId="workmanager/api-keys")
        return str(secret["SecretString"])

    def run(self, script: str, *options: str, status: int = 0, stdin: str = "") -> str:
        """Run a script and return its output. An unexpected exit status is an AssertionError.

        Args:
            stdin: the script's standard input.
        """
        done = subprocess.run(
            self._here([str(ROOT / "scripts" / script), *options]),
            env=self._environ,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SCRIPT_SECONDS,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    def start(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a Python program of the tests that can resolve the load balancer's name."""
        (balancer,) = self.cloud.client("elbv2").describe_load_balancers()["LoadBalancers"]
        url = f"https://{balancer['DNSName']}"
        return subprocess.Popen(
            self._here([sys.executable, "-m", module, url, *arguments]),
            env={**self._environ, "SSL_CERT_FILE": str(self.authority), "API_KEY": self.api_key},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _here(self, command: Sequence[str]) -> list[str]:
        # A mount namespace of its own, with a hosts file that has the names of load balancers.
        bind = f'mount --bind {self._hosts} /etc/hosts && exec "$@"'
        return ["unshare", "--mount", "bash", "-c", bind, "bash", *command]


@contextmanager
def simulated_deployment(directory: Path, wheels: Path) -> Iterator[Deployment]:
    """Yield an empty AWS, in the network of this thread."""
    patch_moto()
    volumes, hosts = directory / "volumes", directory / "hosts"
    volumes.mkdir()
    shutil.copy("/etc/hosts", hosts)
    with (
        SimulatedCloud(directory / "machines", shared=[volumes], commands=commands(volumes)) as cloud,
        Rollouts(cloud.lock, lambda: cloud.machines.running) as rollouts,
        StackLoadBalancer(cloud, directory, hosts) as way_in,
    ):
        yield Deployment(directory, cloud, rollouts, way_in, wheels)


def _speed_up_waiters(models: Path) -> None:
    """Write definitions for aws-cli with which `wait` polls more often."""
    loader = Loader()
    for service in ("cloudformation", "ec2"):
        version = loader.determine_latest_version(service, "waiters-2")
        waiters = loader.load_service_model(service, "waiters-2", version)
        for waiter in waiters["waiters"].values():
            waiter["maxAttempts"] *= waiter["delay"] // POLL_SECONDS
            waiter["delay"] = POLL_SECONDS
        path = models / service / version / "waiters-2.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(waiters))
