"""A simulated AWS for setup.sh and teardown.sh, and for clients of what they deploy."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.ec2.simulated_cloud import REGION, SimulatedCloud
from tests.infra.host_image import commands
from tests.infra.moto_stacks import patch_moto
from tests.infra.rollout import Rollouts
from tests.infra.stack_load_balancer import StackLoadBalancer
from tests.infra.tools import fast_waiters_environment, start_fast_aws

ROOT = Path(__file__).parents[3]
SCRIPT_TIMEOUT_SECONDS = 600


class Deployment:
    """The simulated AWS, and the scripts that run against it.

    Attributes:
        cloud: the simulated AWS.
        rollouts: which hosts were replaced.
        load_balancer: the load balancer of the stack.
        authority: the file of the certificate authority, which setup.sh writes.
    """

    def __init__(
        self, directory: Path, cloud: SimulatedCloud, rollouts: Rollouts, load_balancer: StackLoadBalancer, wheels: Path
    ) -> None:
        self.cloud = cloud
        self.rollouts = rollouts
        self.load_balancer = load_balancer
        self.authority = directory / f"config/workmanager/workmanager-{cloud.region}-ca.pem"
        programs = directory / "programs"
        programs.mkdir()
        (programs / "aws").symlink_to(start_fast_aws())
        self._hosts = directory / "hosts"
        self._environ = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            **cloud.environ,
            "AWS_REGION": cloud.region,
            **fast_waiters_environment(directory),
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
            self._with_hosts_file([str(ROOT / "scripts" / script), *options]),
            env=self._environ,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SCRIPT_TIMEOUT_SECONDS,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    @contextmanager
    def running(self, module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run a Python program of the tests that can resolve the load balancer's name. It is killed after the block."""
        (balancer,) = self.cloud.client("elbv2").describe_load_balancers()["LoadBalancers"]
        url = f"https://{balancer['DNSName']}"
        with subprocess.Popen(
            self._with_hosts_file([sys.executable, "-m", module, url, *arguments]),
            env={**self._environ, "SSL_CERT_FILE": str(self.authority), "API_KEY": self.api_key},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def _with_hosts_file(self, command: Sequence[str]) -> list[str]:
        # A mount namespace of its own, with a hosts file that has the names of load balancers.
        bind = f'mount --bind {self._hosts} /etc/hosts && exec "$@"'
        return ["unshare", "--mount", "bash", "-c", bind, "bash", *command]


@contextmanager
def simulated_deployment(directory: Path, wheels: Path, region: str = REGION) -> Iterator[Deployment]:
    """Yield an empty AWS, in the network of this thread."""
    patch_moto()
    volumes, hosts = directory / "volumes", directory / "hosts"
    volumes.mkdir()
    shutil.copy("/etc/hosts", hosts)
    with (
        SimulatedCloud(directory / "machines", shared=[volumes], commands=commands(volumes), region=region) as cloud,
        Rollouts(cloud.lock, lambda: cloud.machines.running) as rollouts,
        StackLoadBalancer(cloud, directory, hosts) as load_balancer,
    ):
        yield Deployment(directory, cloud, rollouts, load_balancer, wheels)
