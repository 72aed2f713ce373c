"""Access to moto's internal state of one region's EC2."""

import base64
from collections.abc import Mapping
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES

from tests.ec2.faults import ApiError

ACCOUNT = "123456789012"
ENDED_STATES = ("shutting-down", "terminated", "stopping", "stopped")


class MotoRegion:
    """The state of one region."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._backend: Any = ec2_backends[ACCOUNT][name]

    def instances(self) -> list[Any]:
        """Return moto's instances, including ended ones."""
        return [instance for found in list(self._backend.reservations.values()) for instance in found.instances]

    def instance_ids(self) -> list[str]:
        """Return the ids of all instances, including ended ones."""
        return [instance.id for instance in self.instances()]

    def instance(self, instance_id: str) -> Any:
        """Return an existing instance."""
        return self._backend.get_instance(instance_id)

    def is_alive(self, instance_id: str) -> bool:
        """Whether the instance has not started to end."""
        return self.instance(instance_id).state not in ENDED_STATES

    def cores_of(self, instance_type: str) -> int:
        """Return the cores of an instance of this type."""
        return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])

    def cores_in_use(self, market: str) -> int:
        """Return the cores of the instances that have not started to end; `market` is 'spot' or 'on-demand'."""
        return sum(
            self.cores_of(each.instance_type)
            for each in self.instances()
            if each.state not in ENDED_STATES and (each.lifecycle == "spot") == (market == "spot")
        )

    def tags(self, instance_id: str) -> dict[str, str]:
        """Return the instance's tags."""
        return {tag["key"]: tag["value"] for tag in self.instance(instance_id).get_tags()}

    def user_data(self, instance_id: str) -> bytes:
        """Return the instance's user data."""
        text = self.instance(instance_id).user_data
        return base64.b64decode(str(text)) if text else b""

    def set_state(self, instance_id: str, name: str, code: int) -> None:
        """Set the instance's lifecycle state."""
        state = self.instance(instance_id)._state
        state.name, state.code = name, code

    def launch_template_data(self, form: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the data of the launch template that a call names; {} if it names none.

        Raises:
            ApiError: there is no such template.
        """
        names = {
            name: form[f"LaunchTemplate.{name}"]
            for name in ("LaunchTemplateId", "LaunchTemplateName", "Version")
            if form.get(f"LaunchTemplate.{name}")
        }
        if not names:
            return {}
        version = names.get("Version")
        try:
            if version in ("$Latest", "$Default"):
                del names["Version"]
            found = self._backend._get_template_from_args(names)
            data: Mapping[str, Any] = (found.template.latest_version() if version == "$Latest" else found).data
        except Exception as error:  # moto raises many kinds of errors for a missing template
            raise ApiError("InvalidLaunchTemplateId.NotFound", f"no launch template {names}: {error}") from error
        return data

    def availability_zone(self, subnet_id: str, zone: str) -> str:
        """Return the availability zone of a launch.

        Raises:
            ApiError: there is no such subnet.
        """
        if not subnet_id:
            return zone or f"{self.name}a"
        subnets = self._backend.describe_subnets(filters={"subnet-id": [subnet_id]})
        if not subnets:
            raise ApiError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")
        return str(subnets[0].availability_zone)

    def ensure_instance_profile(self, instance_id: str, form: Mapping[str, str]) -> None:
        """Attach the call's instance profile to the instance: moto attaches it to the first one only."""
        if instance_id in self._backend.iam_instance_profile_associations:
            return
        name, arn = form.get("IamInstanceProfile.Name"), form.get("IamInstanceProfile.Arn")
        if name or arn:
            self._backend.associate_iam_instance_profile(
                instance_id, iam_instance_profile_name=name, iam_instance_profile_arn=arn
            )

    def release_interfaces(self, instance_id: str) -> None:
        """Delete the primary network interface of an ended instance and detach the others for reuse."""
        instance = self.instance(instance_id)
        for index, interface in list(instance.nics.items()):
            if int(index):
                instance.detach_eni(interface)
            elif interface.id in self._backend.enis:
                interface.delete()

    def release_volumes(self, instance_id: str) -> None:
        """Delete the volumes of an ended instance that have DeleteOnTermination and detach the others for reuse.

        moto does this in TerminateInstances only, which is not called if an instance shuts itself down.
        """
        self.instance(instance_id).teardown_defaults()

    def profile_arn(self, instance_id: str) -> str:
        """Return the ARN of the instance profile; '' if there is none."""
        association = self._backend.iam_instance_profile_associations.get(instance_id)
        return str(association.iam_instance_profile.arn) if association else ""

    def attached_addresses(self, instance_id: str) -> list[str]:
        """Return the addresses of the network interfaces attached to the instance."""
        nics = list(self.instance(instance_id).nics.values())
        return [str(nic.private_ip_address) for nic in nics]
