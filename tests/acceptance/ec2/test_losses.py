"""Instances that EC2 interrupts, that crash, and that descriptions omit."""

from tests.acceptance.ec2.conftest import StartSystem
from tests.acceptance.ec2.worker_image import upload_bundle, user_data
from tests.ec2.simulated_cloud import SimulatedCloud
from tests.waiting import until
from worker_node.shutdown.drain import SPOT_MARGIN_SECONDS


def test_a_spot_notice_during_a_job(start_system: StartSystem) -> None:
    """The replacement is launched before the instance ends; the job runs there without a counted attempt."""
    system = start_system(MAX_WORKERS="3")
    (name,) = system.submit(1, 0.5, gated=True)
    (host,) = until(lambda: system.hosts_started_on(name), wanted="the job to start")
    instance_id = system.instance_id_of(host)
    system.cloud.machines.interrupt_spot_instance(instance_id, SPOT_MARGIN_SECONDS + 10.0)
    until(lambda: len(system.hosts_started_on(name)) == 2, wanted="the job to start again")
    replacement = system.instance_id_of(system.hosts_started_on(name)[1])
    assert [launch.instance_id for launch in system.cloud.events.launches] == [instance_id, replacement]
    until(lambda: instance_id in system.cloud.events.ends, wanted="the end of the instance")
    assert system.cloud.events.launched_at(replacement) < system.cloud.events.ends[instance_id].ended_at
    system.open_gates()
    system.wait_until_done()
    assert system.attempts() == [1]
    system.wait_until_no_instances()


def test_a_rebalance_notice_during_a_job(start_system: StartSystem) -> None:
    """A replacement comes first; then the instance finishes its jobs and is terminated."""
    system = start_system(MAX_WORKERS="3")
    (name,) = system.submit(1, 0.5, gated=True)
    (host,) = until(lambda: system.hosts_started_on(name), wanted="the job to start")
    instance_id = system.instance_id_of(host)
    system.cloud.machines.running[instance_id].metadata.recommend_rebalance()
    until(lambda: len(system.cloud.machines.running) == 2, wanted="the replacement")
    until(lambda: "event=worker_draining" in system.cloud.machines.running[instance_id].console)
    described = system.cloud.events.calls["DescribeInstances"]
    until(lambda: system.cloud.events.calls["DescribeInstances"] > described + 3, wanted="the scaler to go on")
    assert instance_id not in system.cloud.events.ends
    system.open_gates()
    system.wait_until_done()
    assert system.hosts_started_on(name) == [host]
    system.wait_until_no_instances()


def test_an_instance_crashes_silently(start_system: StartSystem) -> None:
    """EC2 says that it runs. Its job is run elsewhere, and the instance is terminated."""
    system = start_system(MAX_WORKERS="3")
    (name,) = system.submit(1, 0.5, gated=True)
    (host,) = until(lambda: system.hosts_started_on(name), wanted="the job to start")
    instance_id = system.instance_id_of(host)
    system.cloud.machines.running[instance_id].crash()
    until(lambda: len(system.hosts_started_on(name)) == 2, wanted="the job to start again")
    system.open_gates()
    system.wait_until_done()
    system.wait_until_no_instances()
    assert system.cloud.events.ends[instance_id].cause == "terminated"


def test_descriptions_omit_instances_for_a_while(start_system: StartSystem) -> None:
    """They still run: none is replaced and none is terminated."""
    system = start_system(MAX_WORKERS="6")
    system.submit(2, 0.5, gated=True)
    until(lambda: len(list((system.directory / "started").iterdir())) == 2, wanted="the jobs to start")
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


def test_all_managers_are_gone_for_good(start_system: StartSystem, cloud: SimulatedCloud, redis_url: str) -> None:
    """The instances finish their jobs and shut themselves down."""
    boot = user_data(upload_bundle(cloud, MANAGER_TIMEOUT_SECONDS="12", DRAIN_GRACE_SECONDS="60"), redis_url)
    system = start_system(MAX_WORKERS="2", boot=boot)
    (name,) = system.submit(1, 0.5, gated=True)
    until(lambda: system.hosts_started_on(name), wanted="the job to start")
    system.managers[0].kill()
    until(lambda: any("reason=manager_timeout" in machine.console for machine in cloud.machines.all().values()))
    system.open_gates()
    system.wait_until_no_instances()
    assert {end.cause for end in cloud.events.ends.values()} == {"shutdown"}
    until(lambda: set(cloud.states().values()) == {"terminated"}, wanted="EC2 to say so")
    system.start_manager()
    system.wait_until_done()
    assert system.attempts() == [1]
