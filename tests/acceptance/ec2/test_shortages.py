"""EC2 has no capacity, or launches instances that never become workers."""

import base64

from tests.acceptance.ec2.conftest import StartSystem
from tests.acceptance.ec2.ec2_system import Ec2System
from tests.acceptance.ec2.worker_image import upload_bundle, user_data
from tests.ec2.faults import CapacityLimit
from tests.waiting import until

NEVER_REGISTERS = "#!/bin/bash\nexec sleep infinity"
SHUTS_DOWN_AT_ONCE = "#!/bin/bash\nshutdown -h now"


def _boot_from(system: Ec2System, text: str) -> None:
    """Make new instances boot from this user data."""
    template = system.template
    data = {"UserData": base64.b64encode(text.encode()).decode()}
    ec2 = system.cloud.client("ec2")
    (latest,) = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Latest"])[
        "LaunchTemplateVersions"
    ]
    made = ec2.create_launch_template_version(
        LaunchTemplateId=template, LaunchTemplateData={**latest["LaunchTemplateData"], **data}
    )
    number = str(made["LaunchTemplateVersion"]["VersionNumber"])
    ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion=number)


def test_another_capacity_pool_is_used_if_one_is_short(start_system: StartSystem) -> None:
    """There is no spot capacity, none in one zone, and little of one type: the rest is launched."""
    system = start_system(MAX_WORKERS="3")
    system.cloud.faults.capacity = [
        CapacityLimit(market="spot", code="MaxSpotInstanceCountExceeded", message="Max spot instance count exceeded"),
        CapacityLimit(zone="us-east-1a"),
        CapacityLimit(remaining=2, instance_type="c7g.large", zone="us-east-1b"),
    ]
    system.submit(18, 1.0)
    until(lambda: len(system.cloud.events.alive) == 3, wanted="the workers")
    system.wait_until_done()
    kinds = {(launch.instance_type, launch.zone, launch.market) for launch in system.cloud.events.launches}
    assert kinds == {("c7g.large", "us-east-1b", "on-demand"), ("m7g.large", "us-east-1b", "on-demand")}
    system.wait_until_no_instances()
    # A capacity pool gets a cooldown after an error.
    assert system.cloud.events.errors.total() < 30


def test_failing_boots_open_the_launch_breaker_until_a_worker_registers(start_system: StartSystem) -> None:
    system = start_system(boot=SHUTS_DOWN_AT_ONCE, MAX_WORKERS="3")
    system.submit(8, 0.5)
    manager = system.managers[0]
    until(lambda: "event=launch_breaker_opened" in manager.log, wanted="the breaker")
    assert len(system.cloud.events.launches) <= 9
    _boot_from(system, user_data(upload_bundle(system.cloud), system.redis_url))
    system.wait_until_done()
    assert "event=launch_breaker_closed" in manager.log
    system.wait_until_no_instances()


def test_an_instance_that_never_registers_is_terminated_and_replaced(start_system: StartSystem) -> None:
    system = start_system(boot=NEVER_REGISTERS, MAX_WORKERS="1", BOOT_TIMEOUT_SECONDS="12")
    system.submit(2, 0.5)
    until(lambda: system.cloud.events.launches, wanted="a launch")
    _boot_from(system, user_data(upload_bundle(system.cloud), system.redis_url))
    system.wait_until_done()
    assert "reason=never_registered" in system.managers[0].log
    first = system.cloud.events.launches[0].instance_id
    assert system.cloud.events.ends[first].cause == "terminated"
    system.wait_until_no_instances()
