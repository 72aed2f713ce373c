"""The load balancer of a simulated stack: a `tests.infra.balancer` with the targets that moto has registered."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from botocore.exceptions import ClientError
from moto.acm.models import acm_backends

from tests.ec2.moto_region import ACCOUNT
from tests.ec2.network import CLOUD_ADDRESS
from tests.ec2.simulated_cloud import SimulatedCloud

ROOT = Path(__file__).parents[2]
POLL_SECONDS = 0.25
MANAGERS = 2


class StackLoadBalancer:
    """Within its block, listens from the moment when the stack's load balancer exists.

    Args:
        directory: for the certificate.
        hosts: a hosts file, to which the load balancer's name is added.

    Attributes:
        fewest_ready: the lowest number of managers that were ready at the same time, after there were two.
        fewest_checks: the checks of that moment: what was wrong by target, "" for nothing.
    """

    def __init__(self, cloud: SimulatedCloud, directory: Path, hosts: Path) -> None:
        self._cloud = cloud
        self._directory = directory
        self._hosts = hosts
        self.fewest_ready: int | None = None
        self.fewest_checks: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        elb = self._cloud.client("elbv2")
        while not (found := elb.describe_load_balancers()["LoadBalancers"]):
            if self._stopping.wait(POLL_SECONDS):
                return
        command = [sys.executable, "-m", "tests.infra.balancer", *self._arguments(found[0]["DNSName"])]
        pipe = subprocess.PIPE
        # From this thread, because the network is this thread's.
        with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as balancer:
            assert balancer.stdin
            reader = threading.Thread(target=self._read_checks, args=(balancer,))
            reader.start()
            while not self._stopping.wait(POLL_SECONDS):
                print(*(f"http://{address}:5000" for address in self._targets()), file=balancer.stdin, flush=True)
            balancer.stdin.close()
            reader.join()

    def _read_checks(self, balancer: subprocess.Popen[str]) -> None:
        assert balancer.stdout
        for line in balancer.stdout:
            checks: dict[str, str] = json.loads(line)
            ready = list(checks.values()).count("")
            if ready == MANAGERS if self.fewest_ready is None else ready < self.fewest_ready:
                self.fewest_ready, self.fewest_checks = ready, checks

    def _arguments(self, name: str) -> list[str]:
        certificate, key = self._directory / "balancer.pem", self._directory / "balancer.key"
        (kept,) = acm_backends[ACCOUNT][self._cloud.region]._certificates.values()
        certificate.write_bytes(kept.cert)
        key.write_bytes(kept.key)
        with self._hosts.open("a") as file:
            file.write(f"{CLOUD_ADDRESS} {name}\n")
        return [CLOUD_ADDRESS, str(certificate), str(key)]

    def _targets(self) -> list[str]:
        """Return the addresses of the registered hosts that run."""
        elb, ec2 = self._cloud.client("elbv2"), self._cloud.client("ec2")
        try:
            (group,) = elb.describe_target_groups()["TargetGroups"]
            states = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
        except (ClientError, ValueError):  # the stack is being deleted
            return []
        running = [{"Name": "instance-state-name", "Values": ["running"]}]
        ids = [state["Target"]["Id"] for state in states]
        found = ec2.describe_instances(InstanceIds=ids, Filters=running)["Reservations"] if ids else []
        return [instance["PrivateIpAddress"] for some in found for instance in some["Instances"]]
