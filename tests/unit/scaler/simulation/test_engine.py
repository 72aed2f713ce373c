"""The virtual clock, beside sums done by hand."""

from scaler.simulation.engine import ScalingPlan, Scenario, SimulatedRun, SimulatedSystem
from scaler.simulation.trace import TracedJob

FIXED_BOOT = Scenario(boot_sigma=0.0)


class AtLeastDemand:
    """As many as there are jobs; lets go of what has idled for so long."""

    interval_seconds = 5.0
    wakes_on_arrival = True

    def __init__(self, idle_seconds: float = 0.0) -> None:
        self._idle_seconds = idle_seconds

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        old = [instance for instance in system.idle if system.now - instance.idle_since >= self._idle_seconds]
        return ScalingPlan(
            max(0, -(-system.unfinished_jobs // system.scenario.slots) - system.alive), old if not system.queue else ()
        )


class Hoarder(AtLeastDemand):
    """Lets go of nothing."""

    def __init__(self) -> None:
        super().__init__(float("inf"))


class Fickle(AtLeastDemand):
    """Ends what boots after 20 s, once."""

    def plan(self, system: SimulatedSystem) -> ScalingPlan:
        if system.now == 20:
            return ScalingPlan(cancel_booting=list(system.booting))
        return super().plan(system)


def _run(policy: AtLeastDemand, *jobs: tuple[float, float], world: Scenario = FIXED_BOOT) -> SimulatedRun:
    return SimulatedSystem([TracedJob(at, seconds, "f") for at, seconds in jobs], world).run(policy)


def test_a_job_waits_for_the_boot_and_all_is_paid() -> None:
    run = _run(AtLeastDemand(), (0, 100))
    assert run.waits == [90]
    assert run.paid_seconds == 190
    assert (run.launches, run.peak, run.never_terminated) == (1, 1, 0)


def test_a_job_while_nothing_lives_is_seen_at_once_and_others_at_the_tick() -> None:
    run = _run(AtLeastDemand(), (0, 1000), (2, 100))
    assert run.waits == [90, 93]


def test_the_queue_is_first_in_first_out() -> None:
    run = _run(AtLeastDemand(), (0, 500), (1, 500), (2, 10), world=Scenario(boot_sigma=0.0, max_workers=1))
    assert run.waits == [90, 589, 1088]
    assert run.peak == 1


def test_an_idle_instance_takes_the_next_job() -> None:
    run = _run(AtLeastDemand(idle_seconds=60), (0, 10), (130, 10))
    assert run.waits == [90, 0]
    assert run.launches == 1
    assert run.paid_seconds == 200


def test_the_first_minute_is_paid_in_full() -> None:
    run = _run(AtLeastDemand(), (0, 10), world=Scenario(boot_median_seconds=20.0, boot_sigma=0.0))
    assert run.paid_seconds == 60


def test_what_boots_can_be_ended_for_its_first_minute() -> None:
    run = _run(Fickle(), (0, 10))
    assert run.launches == 2
    assert run.waits == [25 + 90]
    assert run.paid_seconds == 60 + 100


def test_slots_run_side_by_side() -> None:
    run = _run(AtLeastDemand(), (0, 100), (0, 100), (0, 100), world=Scenario(slots=3, boot_sigma=0.0))
    assert run.waits == [90, 90, 90]
    assert run.paid_seconds == 190


def test_what_is_never_let_go_is_left_over_and_paid() -> None:
    run = _run(Hoarder(), (0, 10))
    assert run.never_terminated == 1
    assert 3600 + 100 <= run.paid_seconds <= 3600 + 110


def test_no_capacity_launches_less() -> None:
    world = Scenario(boot_sigma=0.0, grant_launches=lambda second, wanted: 0 if second < 600 else min(wanted, 1))
    run = _run(AtLeastDemand(), (0, 10), (0, 10), world=world)
    assert run.waits[0] == 600 + 90


def test_boots_are_lognormal_about_their_median() -> None:
    run = SimulatedSystem([TracedJob(0.0, 1000.0, "f")] * 999, Scenario()).run(AtLeastDemand())
    ordered = sorted(run.waits)
    assert 85 < ordered[500] < 95
    assert ordered[-1] > 120
