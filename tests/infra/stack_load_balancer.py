"""The load balancer of a simulated stack: a `Balancer` with the targets that moto has registered."""

import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from botocore.exceptions import ClientError
from moto.acm.models import acm_backends

from tests.ec2.moto_region import ACCOUNT
from tests.ec2.network import CLOUD_ADDRESS
from tests.ec2.simulated_cloud import REGION, SimulatedCloud
from tests.infra.balancer import Balancer

POLL_SECONDS = 0.25


class StackLoadBalancer:
    """Within its block, listens from the moment when the stack's load balancer exists.

    Args:
        directory: for the certificate.
        hosts: a hosts file, to which the load balancer's name is added.

    Attributes:
        fewest: the lowest number of managers that were ready at the same time, after there were two.
    """

    def __init__(self, cloud: SimulatedCloud, directory: Path, hosts: Path) -> None:
        self._cloud = cloud
        self._directory = directory
        self._hosts = hosts
        self.fewest_ready: int | None = None
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
        with ExitStack() as stack:
            balancer: Balancer | None = None
            while not self._stopping.wait(POLL_SECONDS):
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
