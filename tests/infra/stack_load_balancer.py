"""The load balancer of a stack: what stands in the stack's books, listening."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from botocore.exceptions import ClientError
from moto.acm.models import acm_backends

from tests.ec2.moto_region import ACCOUNT
from tests.ec2.network import CLOUD_ADDRESS
from tests.ec2.simulated_cloud import REGION, SimulatedCloud
from tests.infra.balancer import Balancer

LOOK_SECONDS = 0.25


class StackLoadBalancer:
    """Made when the stack's load balancer is, within its block.

    Args:
        directory: for its certificate.
        hosts: a hosts file, in which its name is entered.

    Attributes:
        fewest: how few managers were ready at once, since there were two for the first time.
    """

    def __init__(self, cloud: SimulatedCloud, directory: Path, hosts: Path) -> None:
        self._cloud = cloud
        self._directory = directory
        self._hosts = hosts
        self.fewest_ready: int | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> StackLoadBalancer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        elb = self._cloud.client("elbv2")
        with ExitStack() as stack:
            balancer: Balancer | None = None
            while not self._ending.wait(LOOK_SECONDS):
                found = elb.describe_load_balancers()["LoadBalancers"]
                if found and balancer is None:
                    balancer = stack.enter_context(self._listen(found[0]["DNSName"]))
                if found and balancer is not None:
                    balancer.set_targets([f"http://{address}:5000" for address in self._targets()])
                    ready = len(balancer.healthy)
                    if self.fewest_ready is not None or ready == 2:
                        self.fewest_ready = min(ready, 2 if self.fewest_ready is None else self.fewest_ready)

    def _listen(self, name: str) -> Balancer:
        certificate, key = self._directory / "balancer.pem", self._directory / "balancer.key"
        (kept,) = acm_backends[ACCOUNT][REGION]._certificates.values()
        certificate.write_bytes(kept.cert)
        key.write_bytes(kept.key)
        with self._hosts.open("a") as file:
            file.write(f"{CLOUD_ADDRESS} {name}\n")
        return Balancer(CLOUD_ADDRESS, certificate, key)

    def _targets(self) -> list[str]:
        """The addresses of the hosts that are registered, and run."""
        elb, ec2 = self._cloud.client("elbv2"), self._cloud.client("ec2")
        try:
            (group,) = elb.describe_target_groups()["TargetGroups"]
            states = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
        except (ClientError, ValueError):  # it is about to be deleted
            return []
        running = [{"Name": "instance-state-name", "Values": ["running"]}]
        ids = [state["Target"]["Id"] for state in states]
        found = ec2.describe_instances(InstanceIds=ids, Filters=running)["Reservations"] if ids else []
        return [instance["PrivateIpAddress"] for some in found for instance in some["Instances"]]
