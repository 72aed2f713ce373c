"""What is done about a decision, and to which instances. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from jobqueue.workers.registry import WorkerView
from scaler.decide.rolling_update import OUTDATED, renew
from scaler.fleets.fleet import Profile
from scaler.fleets.instances import Instance
from scaler.observe.instance_phases import Phase, phase_of
from scaler.policy import Decision, Limits
from scaler.state.store import Book

Instances = Mapping[str, Instance]
Workers = Mapping[str, WorkerView]


def choose_idle(instances: Instances, workers: Workers, number: int, profile: Profile, now: float) -> list[Instance]:
    """So many idle instances to let go: first what the fleet wants back, then earlier versions, then the longest-lived.

    None that is already paid for, or whose predecessor's jobs are about to come back; and of the base that is bought on
    demand only where nothing else is left.
    """
    heirs = {
        instance.replaced
        for instance in instances.values()
        if (worker := workers.get(instance.id)) is not None and worker.leaving == "spot" and worker.running
    }
    on_demand = sorted(id_ for id_, instance in instances.items() if instance.market == "on-demand")
    base = set(on_demand[: profile.on_demand_base])
    idle = [
        instance
        for instance in instances.values()
        if phase_of(instance, workers.get(instance.id)) is Phase.IDLE
        and now - instance.launched_at >= profile.minimum_paid_seconds
        and (not instance.token or instance.token not in heirs)
    ]
    idle.sort(
        key=lambda each: (
            not workers[each.id].leaving,
            not 0 < each.version < profile.version,
            each.id in base,
            each.launched_at,
            each.id,
        )
    )
    return idle[:number]


def to_replace(instances: Instances, workers: Workers, *, idle_too: bool) -> list[Instance]:
    """Instances that the fleet takes back, or may, that are needed and have not been given a successor.

    Args:
        idle_too: idle ones are needed as well.
    """
    return [
        instance
        for instance in instances.values()
        if (worker := workers.get(instance.id)) is not None
        and worker.leaving
        and instance.closing_at is None
        and not instance.replaced
        and (worker.running or idle_too)
    ]


def to_retire(
    instances: Instances, workers: Workers, open_tokens: Collection[str], *, idle_too: bool
) -> list[Instance]:
    """Instances that may be taken back, and need not be waited for: their successor has come, or they are not needed.

    Args:
        open_tokens: of launches whose answer is not known.
        idle_too: idle ones are needed as well.
    """
    coming = {
        instance.token
        for instance in instances.values()
        if instance.token and phase_of(instance, workers.get(instance.id)) is Phase.BOOTING
    }
    return [
        instance
        for instance in instances.values()
        if (worker := workers.get(instance.id)) is not None
        and worker.leaving == "rebalance"
        and instance.closing_at is None
        and (
            instance.replaced not in coming.union(open_tokens)
            if instance.replaced
            else not worker.running and not idle_too
        )
    ]


@dataclass(frozen=True, slots=True)
class Steps:
    """What is done about a decision.

    Attributes:
        launch: instances.
        closing: instances that are to go, as they are to be written down.
        needy: instances for which some of those launched are replacements.
        reason: of the decision, with what stands against it.
    """

    launch: int
    closing: Sequence[Instance]
    needy: Sequence[Instance]
    reason: str


def choose_steps(
    book: Book, instances: Instances, workers: Workers, decision: Decision, limits: Limits, profile: Profile
) -> Steps:
    """The steps, within the limits and what is to be minded."""
    reason = decision.reason
    if book.orders.paused:
        return Steps(0, (), (), f"PAUSED; {reason}")
    phases = [phase_of(instance, workers.get(id_)) for id_, instance in instances.items()]
    serving = sum(phase in (Phase.BOOTING, Phase.IDLE, Phase.BUSY) for phase in phases)
    spare = 0 if decision.numbers.get("queued", 0) > 0 else max(0, serving - limits.least(book.now))
    idle_too = spare == 0
    room = limits.most() - len(instances) - book.intended
    needy = to_replace(instances, workers, idle_too=idle_too)
    wanted = max(decision.launch, len(needy))
    if wanted > decision.launch:
        reason = f"LAUNCH {wanted}: the fleet takes back {len(needy)} that are needed; {reason}"
    quiet = not (wanted or decision.drain)
    renewal = renew(book, instances, workers, profile.version, spare=spare, room=room, quiet=quiet)
    if renewal.needy or renewal.retired:
        reason = f"{renewal.words}; {reason}"
        needy, wanted = [*needy, *renewal.needy], wanted + len(renewal.needy)
    launch = max(0, min(wanted, room))
    most = book.caution.most_launches(phases.count(Phase.BOOTING) + book.intended, book.now)
    if most is not None and most < launch:
        launch, reason = most, f"HELD BACK to {most}: {book.caution.why}; {reason}"
    retired = to_retire(instances, workers, {intent.token for intent in book.intents}, idle_too=idle_too)
    # Who is renewed in this round goes in place of another, not beside it.
    drain = max(0, decision.drain - len(renewal.retired))
    idle = choose_idle(instances, workers, drain, profile, book.now) if drain else []
    closing = {each.id: replace(each, closing_at=book.now, reason="idle") for each in idle}
    closing.update({each.id: replace(each, closing_at=book.now, reason="taken_back") for each in retired})
    closing.update({each.id: replace(each, closing_at=book.now, reason=OUTDATED) for each in renewal.retired})
    return Steps(launch, list(closing.values()), needy[:launch], reason)
