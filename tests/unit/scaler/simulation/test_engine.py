"""The simulator, checked against sums done by hand."""

from scaler.simulation.engine import TERMINATION_GRACE_SECONDS, ScalingPlan, SimulatedRun, Simulator
from scaler.simulation.system import Scenario, SimulatedSystem
from scaler.simulation.trace import TracedJob

FIXED_BOOT = Scenario(boot_sigma=0.0)


class AtLeastDemand:
    """One slot per job; terminates instances that were idle for `idle_seconds`."""

    interval_seconds = 5.0
    wakes_on_arrival = True

    def __init__(self, idle_seconds: float = 0.0) -> None:
        self._idle_seconds = idle_seconds

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        old = [instance for instance in system.idle if system.now - instance.idle_since >= self._idle_seconds]
        return ScalingPlan(
            max(0, -(-system.unfinished_jobs // system.scenario.slots) - system.alive), old if not system.queue else ()
        )


class NeverTerminates(AtLeastDemand):
    """Launches for every job and terminates nothing."""

    def __init__(self) -> None:
        super().__init__(float("inf"))


class CancelsBoots(AtLeastDemand):
    """Terminates the booting instances once, at second 20."""

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        if system.now == 20:
            return ScalingPlan(cancel_booting=list(system.booting))
        return super().plan(system)


def _run(policy: AtLeastDemand, *jobs: tuple[float, float], scenario: Scenario = FIXED_BOOT) -> SimulatedRun:
    return Simulator([TracedJob(at, seconds, "f") for at, seconds in jobs], scenario).run(policy)


def test_a_job_waits_for_the_boot_and_the_boot_is_billed() -> None:
    run = _run(AtLeastDemand(), (0, 100))
    assert run.waits == [90]
    assert run.paid_seconds == 190
    assert (run.launches, run.peak, run.never_terminated) == (1, 1, 0)


def test_the_first_job_is_seen_at_once_and_others_at_the_next_tick() -> None:
    run = _run(AtLeastDemand(), (0, 1000), (2, 100))
    assert run.waits == [90, 93]


def test_the_queue_is_first_in_first_out() -> None:
    run = _run(AtLeastDemand(), (0, 500), (1, 500), (2, 10), scenario=Scenario(boot_sigma=0.0, max_workers=1))
    assert run.waits == [90, 589, 1088]
    assert run.peak == 1


def test_an_idle_instance_takes_the_next_job() -> None:
    run = _run(AtLeastDemand(idle_seconds=60), (0, 10), (130, 10))
    assert run.waits == [90, 0]
    assert run.launches == 1
    assert run.paid_seconds == 200


def test_the_first_minute_is_billed_in_full() -> None:
    run = _run(AtLeastDemand(), (0, 10), scenario=Scenario(boot_median_seconds=20.0, boot_sigma=0.0))
    assert run.paid_seconds == 60


def test_a_canceled_boot_costs_its_first_minute() -> None:
    run = _run(CancelsBoots(), (0, 10))
    assert run.launches == 2
    assert run.waits == [25 + 90]
    assert run.paid_seconds == 60 + 100


def test_slots_run_jobs_in_parallel() -> None:
    run = _run(AtLeastDemand(), (0, 100), (0, 100), (0, 100), scenario=Scenario(slots=3, boot_sigma=0.0))
    assert run.waits == [90, 90, 90]
    assert run.paid_seconds == 190


def test_an_instance_that_is_never_terminated_is_counted_and_billed() -> None:
    run = _run(NeverTerminates(), (0, 10))
    assert run.never_terminated == 1
    assert TERMINATION_GRACE_SECONDS + 100 <= run.paid_seconds <= TERMINATION_GRACE_SECONDS + 110


def test_a_launch_without_capacity_is_retried() -> None:
    scenario = Scenario(boot_sigma=0.0, grant_launches=lambda second, wanted: 0 if second < 600 else min(wanted, 1))
    run = _run(AtLeastDemand(), (0, 10), (0, 10), scenario=scenario)
    assert run.waits[0] == 600 + 90


def test_boot_times_are_lognormal_around_their_median() -> None:
    run = Simulator([TracedJob(0.0, 1000.0, "f")] * 999, Scenario()).run(AtLeastDemand())
    ordered = sorted(run.waits)
    assert 85 < ordered[500] < 95
    assert ordered[-1] > 120
