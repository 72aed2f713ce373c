"""A burst of jobs: the fleet grows and returns to zero."""

from tests.acceptance.ec2.conftest import StartSystem
from tests.waiting import until


def test_a_burst_grows_the_fleet_and_returns_to_zero(start_system: StartSystem) -> None:
    system = start_system(managers=2, MAX_WORKERS="4")
    system.submit(24, 2.0)
    until(lambda: len(system.cloud.events.alive) == 4, wanted="the maximum number of workers")
    system.wait_until_done()
    system.wait_until_no_instances()
    until(lambda: not system.cloud.machines.running, wanted="every machine to be off")
    assert {end.cause for end in system.cloud.events.ends.values()} <= {"terminated", "shutdown"}
