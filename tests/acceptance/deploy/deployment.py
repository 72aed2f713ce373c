"""A simulated AWS against which setup.sh runs: its load balancer, its roll-outs, and how to call a script."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from moto.acm.models import acm_backends

from benchmarks.harness.environments import Environment
from tests.ec2.cloud import REGION, Cloud
from tests.ec2.network import CLOUD_ADDRESS
from tests.ec2.region import ACCOUNT
from tests.infra.balancer import Balancer
from tests.infra.host_image import commands
from tests.infra.moto_stacks import complete
from tests.infra.rollout import Rollouts

ROOT = Path(__file__).parents[3]
AWS_CLI = Environment("awscli", ("awscli==1.46.2",))
LOOK_SECONDS = 0.5


class Deployment:
    """The AWS, and the scripts against it.

    Attributes:
        cloud: the AWS.
        rollouts: which hosts were replaced.
    """

    def __init__(self, directory: Path, cloud: Cloud, wheels: Path) -> None:
        self.cloud = cloud
        self.rollouts = Rollouts(cloud.lock, lambda: cloud.machines.running)
        self._directory = directory
        self._hosts = directory / "hosts"
        shutil.copy("/etc/hosts", self._hosts)
        programs = directory / "programs"
        programs.mkdir()
        (programs / "aws").symlink_to(AWS_CLI.program("aws"))
        self._environ = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            **cloud.environ,
            "AWS_REGION": REGION,
            "XDG_CONFIG_HOME": str(directory / "config"),
            # There is no way out of the simulated network to an index.
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
        }

    def run(self, script: str, *options: str, seconds: float) -> str:
        """What a script says; AssertionError where it fails."""
        done = subprocess.run(
            # The names of load balancers are known in a mount namespace of the script's own.
            [
                *("unshare", "--mount", "bash", "-c", f'mount --bind {self._hosts} /etc/hosts && exec "$@"', "bash"),
                *(str(ROOT / "scripts" / script), *options),
            ],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def balance(self, ending: threading.Event) -> None:
        """Is the load balancer that the stack has, until it is told to end."""
        elb, ec2 = self.cloud.client("elbv2"), self.cloud.client("ec2")
        with ExitStack() as stack:
            balancer: Balancer | None = None
            while not ending.wait(LOOK_SECONDS):
                found = elb.describe_load_balancers()["LoadBalancers"]
                if found and balancer is None:
                    certificate, key = self._directory / "balancer.pem", self._directory / "balancer.key"
                    (kept,) = acm_backends[ACCOUNT][REGION]._certificates.values()
                    certificate.write_bytes(kept.cert)
                    key.write_bytes(kept.key)
                    balancer = stack.enter_context(Balancer(CLOUD_ADDRESS, certificate, key))
                    with self._hosts.open("a") as file:
                        file.write(f"{CLOUD_ADDRESS} {found[0]['DNSName']}\n")
                if found and balancer is not None:
                    filters = [
                        {"Name": "tag:workmanager:role", "Values": ["manager"]},
                        {"Name": "instance-state-name", "Values": ["running"]},
                    ]
                    managers = ec2.describe_instances(Filters=filters)["Reservations"]
                    addresses = [one["PrivateIpAddress"] for some in managers for one in some["Instances"]]
                    balancer.set_targets([f"http://{address}:5000" for address in addresses])


@contextmanager
def simulated(directory: Path, wheels: Path) -> Iterator[Deployment]:
    """An empty AWS, in the network of this thread."""
    complete()
    volumes = directory / "volumes"
    volumes.mkdir()
    with Cloud(directory / "machines", shared=[volumes], commands=commands(volumes)) as cloud:
        deployment, ending = Deployment(directory, cloud, wheels), threading.Event()
        balancing = threading.Thread(target=deployment.balance, args=(ending,), daemon=True)
        balancing.start()
        try:
            yield deployment
        finally:
            ending.set()
            balancing.join()
