"""Instances that EC2 takes back, that die, and that it does not show."""

from __future__ import annotations

from tests.acceptance.ec2.conftest import StartSystem
from tests.acceptance.ec2.worker_image import upload_bundle, user_data
from tests.ec2.simulated_cloud import SimulatedCloud
from tests.waiting import until
from worker_node.shutdown.drain import SPOT_MARGIN_SECONDS


def test_a_spot_notice_amid_a_job(start: StartSystem) -> None:
    """The replacement is launched before the instance goes, and the job goes there uncharged."""
    system = start(MAX_WORKERS="3")
    (name,) = system.submit(1, 0.5, gated=True)
    (host,) = until(lambda: system.hosts_started_on(name), wanted="the job to begin")
    instance_id = system.instance_id_of(host)
    system.cloud.machines.interrupt_spot_instance(instance_id, SPOT_MARGIN_SECONDS + 10.0)
    until(lambda: len(system.hosts_started_on(name)) == 2, wanted="the job to begin again")
    replacement = system.instance_id_of(system.hosts_started_on(name)[1])
    assert [launch.instance_id for launch in system.cloud.events.launches] == [instance_id, replacement]
    until(lambda: instance_id in system.cloud.events.ends, wanted="the instance to go")
    assert system.cloud.events.launched_at(replacement) < system.cloud.events.ends[instance_id].ended_at
    system.open_gates()
    system.wait_until_done()
    assert system.attempts() == [1]
    system.wait_until_no_instances()


def test_a_rebalance_notice_amid_a_job(start: StartSystem) -> None:
    """A replacement comes first; then the instance finishes what it runs, and goes."""
    system = start(MAX_WORKERS="3")
    (name,) = system.submit(1, 0.5, gated=True)
    (host,) = until(lambda: system.hosts_started_on(name), wanted="the job to begin")
    instance_id = system.instance_id_of(host)
    system.cloud.machines.running[instance_id].metadata.recommend_rebalance()
    until(lambda: len(system.cloud.machines.running) == 2, wanted="the replacement")
    until(lambda: "event=worker_draining" in system.cloud.machines.running[instance_id].console)
    looks = system.cloud.events.calls["DescribeInstances"]
    until(lambda: system.cloud.events.calls["DescribeInstances"] > looks + 3, wanted="the scaler to go on")
    assert instance_id not in system.cloud.events.ends
    system.open_gates()
    system.wait_until_done()
    assert system.hosts_started_on(name) == [host]
    system.wait_until_no_instances()


def test_an_instance_that_dies_silently(start: StartSystem) -> None:
    """EC2 says that it runs. Its job runs elsewhere, and it is ended."""
    system = start(MAX_WORKERS="3")
    (name,) = system.submit(1, 0.5, gated=True)
    (host,) = until(lambda: system.hosts_started_on(name), wanted="the job to begin")
    instance_id = system.instance_id_of(host)
    system.cloud.machines.running[instance_id].crash()
    until(lambda: len(system.hosts_started_on(name)) == 2, wanted="the job to begin again")
    system.open_gates()
    system.wait_until_done()
    system.wait_until_no_instances()
    assert system.cloud.events.ends[instance_id].cause == "terminated"


def test_instances_that_ec2_does_not_show_for_a_while(start: StartSystem) -> None:
    """They live: none is launched in their place, and none of them is ended."""
    system = start(MAX_WORKERS="6")
    system.submit(2, 0.5, gated=True)
    until(lambda: len(list((system.directory / "begun").iterdir())) == 2, wanted="the jobs to begin")
    launched = len(system.cloud.events.launches)
    described = system.cloud.events.calls["DescribeInstances"]
    system.cloud.faults.hide_instances(dict.fromkeys(system.cloud.states(), 6.0))
    until(lambda: not system.cloud.states(), wanted="a description without instances")
    until(lambda: system.cloud.states(), wanted="them to be shown again")
    assert system.cloud.events.calls["DescribeInstances"] >= described + 2
    assert "event=instance_terminating" not in system.managers[0].log
    assert len(system.cloud.events.launches) == launched
    system.open_gates()
    system.wait_until_done()
    system.wait_until_no_instances()
    assert len(system.cloud.events.launches) == launched


def test_instances_whose_managers_have_gone_for_good(start: StartSystem, cloud: SimulatedCloud, redis_url: str) -> None:
    """They finish what they run, and end themselves."""
    boot = user_data(upload_bundle(cloud, MANAGER_TIMEOUT_SECONDS="12", DRAIN_GRACE_SECONDS="60"), redis_url)
    system = start(MAX_WORKERS="2", boot=boot)
    (name,) = system.submit(1, 0.5, gated=True)
    until(lambda: system.hosts_started_on(name), wanted="the job to begin")
    system.managers[0].kill()
    until(lambda: any("reason=manager_timeout" in machine.console for machine in cloud.machines.all().values()))
    system.open_gates()
    system.wait_until_no_instances()
    assert {end.cause for end in cloud.events.ends.values()} == {"shutdown"}
    until(lambda: set(cloud.states().values()) == {"terminated"}, wanted="EC2 to say so")
    system.start_manager()
    system.wait_until_done()
    assert system.attempts() == [1]
