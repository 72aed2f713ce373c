"""Two managers never launch twice, whatever happens to the leader."""

import signal

import pytest

from tests.acceptance.ec2.conftest import StartSystem
from tests.acceptance.ec2.ec2_system import Ec2System
from tests.waiting import until


def _assert_recovers(system: Ec2System, launches: int) -> None:
    """Wait for `launches` workers, run all jobs on them, and check that no more were ever launched."""
    until(lambda: len(system.cloud.machines.running) == launches, wanted="the workers")
    until(lambda: len(list((system.directory / "started").iterdir())) >= launches, wanted="jobs to start")
    system.open_gates()
    system.wait_until_done()
    assert len(system.cloud.events.launches) == launches
    system.wait_until_no_instances()


@pytest.mark.parametrize("after_effect", [False, True], ids=["before_its_call_takes_effect", "before_its_answer_comes"])
def test_a_leader_is_killed_during_a_launch(start_system: StartSystem, after_effect: bool) -> None:
    system = start_system(managers=2, MAX_WORKERS="2")
    leader = system.leader()
    with system.cloud.faults.hold("RunInstances", after_effect=after_effect) as hold:
        system.submit(8, 0.5, gated=True)
        assert hold.reached.wait(60)
        leader.kill()
        until(lambda: system.leader() is not leader, wanted="the other to lead")
    _assert_recovers(system, launches=2)


def test_a_leader_is_paused_past_its_lease_during_a_launch(start_system: StartSystem) -> None:
    system = start_system(managers=2, MAX_WORKERS="2")
    leader = system.leader()
    with system.cloud.faults.hold("RunInstances", after_effect=False) as hold:
        system.submit(8, 0.5, gated=True)
        assert hold.reached.wait(60)
        leader.process.send_signal(signal.SIGSTOP)
        until(lambda: system.leader() is not leader, wanted="the other to lead")
    leader.process.send_signal(signal.SIGCONT)
    _assert_recovers(system, launches=2)


def test_dropped_answers_and_throttling(start_system: StartSystem) -> None:
    system = start_system(managers=2, MAX_WORKERS="2")
    system.cloud.faults.drop_answers("RunInstances", 2)
    system.cloud.faults.throttle("DescribeInstances", 2)
    system.submit(8, 0.5, gated=True)
    until(lambda: system.cloud.events.launches, wanted="a launch")
    system.cloud.faults.throttle("RunInstances", 2)
    _assert_recovers(system, launches=2)
    assert system.cloud.events.errors["RequestLimitExceeded"] >= 2
