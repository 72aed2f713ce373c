"""Keeps the machines that really run in step with the instances in EC2's state."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ec2.ec2_api import Ec2Api
from tests.ec2.event_log import EventLog
from tests.ec2.moto_region import ACCOUNT, MotoRegion
from tests.ec2.namespace_machine import MachineSpec, NamespaceMachine

log = logging.getLogger(__name__)

STEP_SECONDS = 0.05
POWER_OFF_GRACE_SECONDS = 20.0
"""Time that a machine gets to power off; EC2 gives minutes."""
_FINAL_STATES = {"terminate": ("terminated", 48), "stop": ("stopped", 80)}


@dataclass(slots=True)
class _Running:
    region: MotoRegion
    machine: NamespaceMachine
    power_cut_at: float | None = None
    reclaimed_at: float | None = None


class MachineSupervisor:
    """Boots a machine for each running instance, powers it off when EC2 ends the instance, and the reverse.

    Args:
        credentials: returns a role's credentials, given the instance profile's ARN and the instance id.
        environ, shared, commands: see `MachineSpec`.
    """

    def __init__(
        self,
        api: Ec2Api,
        events: EventLog,
        directory: Path,
        *,
        credentials: Callable[[str, str], Mapping[str, str]],
        environ: Mapping[str, str],
        shared: Sequence[Path],
        commands: Mapping[str, str],
    ) -> None:
        self._api = api
        self._events = events
        self._directory = directory
        self._credentials = credentials
        self._environ = environ
        self._shared = shared
        self._commands = commands
        self._running: dict[str, _Running] = {}
        self._ended: dict[str, NamespaceMachine] = {}
        self._ending = threading.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="machines", daemon=True)

    def start(self) -> None:
        """Start the supervising thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop all machines and the thread; raise the thread's error, if any."""
        self._ending.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    @property
    def running(self) -> dict[str, NamespaceMachine]:
        """Running machines by instance id."""
        return {id_: running.machine for id_, running in dict(self._running).items()}

    def all(self) -> dict[str, NamespaceMachine]:
        """Return all machines, including ended ones, by instance id."""
        return self._ended | self.running

    def interrupt_spot_instance(self, instance_id: str, seconds: float) -> None:
        """Send a spot interruption notice; EC2 ends the instance after this time."""
        running = self._running[instance_id]
        running.machine.metadata.announce_interruption(seconds)
        running.reclaimed_at = time.monotonic() + seconds

    def _run(self) -> None:
        try:
            while not self._ending.wait(STEP_SECONDS):
                self._step(time.monotonic())
        except BaseException as error:  # `close` raises it in the main thread
            log.exception("event=machines_failed")
            self.failure = error
        finally:
            for running in self._running.values():
                running.machine.cut_power()

    def _step(self, now: float) -> None:
        with self._api.lock:
            regions = list(self._api.regions.values())
            found = [(region, instance.id, instance.state) for region in regions for instance in region.instances()]
        for region, instance_id, state in found:
            running = self._running.get(instance_id)
            if running is None and state == "running" and instance_id not in self._ended:
                self._boot(region, instance_id)
            elif running is not None:
                self._update(running, instance_id, state, now)

    def _boot(self, region: MotoRegion, instance_id: str) -> None:
        with self._api.lock:
            spec = self._spec(region, instance_id)
        directory = self._directory / instance_id
        directory.mkdir(parents=True)
        self._running[instance_id] = _Running(region, NamespaceMachine(spec, directory))

    def _update(self, running: _Running, instance_id: str, state: str, now: float) -> None:
        if running.reclaimed_at is not None and now >= running.reclaimed_at and state == "running":
            self._end(running, instance_id, "spot", "shutting-down", 32)
        elif not running.machine.is_running:
            if state == "running":
                self._events.record_end(instance_id, "shutdown")
            self._finish(running, instance_id)
        elif state != "running":
            if state == "terminated":
                # An Auto Scaling group ended it within moto, but its machine still runs.
                with self._api.lock:
                    running.region.set_state(instance_id, "shutting-down", 32)
            if running.power_cut_at is None:
                running.power_cut_at = now + POWER_OFF_GRACE_SECONDS
                running.machine.press_power_button()
            elif now >= running.power_cut_at or running.machine.has_crashed:
                self._finish(running, instance_id)
        else:
            for address in running.region.attached_addresses(instance_id):
                running.machine.add_address(address)

    def _end(self, running: _Running, instance_id: str, cause: str, name: str, code: int) -> None:
        with self._api.lock:
            self._events.record_end(instance_id, cause)
            running.region.set_state(instance_id, name, code)

    def _finish(self, running: _Running, instance_id: str) -> None:
        running.machine.cut_power()
        self._ended[instance_id] = running.machine
        del self._running[instance_id]
        with self._api.lock:
            instance = running.region.instance(instance_id)
            asked = instance.state in ("shutting-down", "terminated")
            behaviour = "terminate" if asked else instance.instance_initiated_shutdown_behavior
            running.region.set_state(instance_id, *_FINAL_STATES[behaviour])
            if behaviour == "terminate":
                running.region.release_interfaces(instance_id)
                running.region.release_volumes(instance_id)

    def _spec(self, region: MotoRegion, instance_id: str) -> MachineSpec:
        instance = region.instance(instance_id)
        user_data = region.user_data(instance_id)
        return MachineSpec(
            instance_id,
            instance.private_ip,
            user_data,
            self._metadata(region, instance, user_data),
            instance.metadata_options.http_tokens == "required",
            self._environ,
            self._shared,
            self._commands,
        )

    def _metadata(self, region: MotoRegion, instance: Any, user_data: bytes) -> dict[str, str]:
        document = {
            "accountId": ACCOUNT,
            "instanceId": instance.id,
            "region": region.name,
            "availabilityZone": instance.placement.zone,
            "instanceType": instance.instance_type,
            "privateIp": instance.private_ip,
            "imageId": instance.image_id,
        }
        tree = {
            "meta-data/ami-id": str(instance.image_id),
            "meta-data/instance-id": instance.id,
            "meta-data/instance-type": instance.instance_type,
            "meta-data/instance-life-cycle": instance.lifecycle or "on-demand",
            "meta-data/local-hostname": f"ip-{instance.private_ip.replace('.', '-')}.ec2.internal",
            "meta-data/local-ipv4": instance.private_ip,
            "meta-data/placement/availability-zone": instance.placement.zone,
            "meta-data/placement/region": region.name,
            "dynamic/instance-identity/document": json.dumps(document),
            "user-data": user_data.decode(errors="replace"),
            **{f"meta-data/tags/instance/{name}": value for name, value in region.tags(instance.id).items()},
        }
        if profile_arn := region.profile_arn(instance.id):
            tree |= self._credentials(profile_arn, instance.id)
        return tree
