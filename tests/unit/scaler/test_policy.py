"""How many workers there should be: a table of situations."""

import itertools

import pytest

from scaler.policy import Limits, Observation, decide

LIMITS = Limits(min_workers=0, max_workers=4, slots_per_worker=2, idle_seconds=10.0)


def _seen(
    queued: int = 0,
    started: int = 0,
    idle: int = 0,
    busy: int = 0,
    draining: int = 0,
    booting: int = 0,
    quiet: float = 0.0,
) -> Observation:
    return Observation(queued, started, idle, busy, draining, booting, quiet)


SITUATIONS = {
    "nothing to do, nobody there": (_seen(), LIMITS, 0, 0),
    "the first job": (_seen(queued=1), LIMITS, 1, 0),
    "a worker for each two jobs": (_seen(queued=5), LIMITS, 3, 0),
    "never more than the maximum": (_seen(queued=1000), LIMITS, 4, 0),
    "those that boot count": (_seen(queued=1000, booting=3), LIMITS, 1, 0),
    "those that boot are enough": (_seen(queued=4, booting=2), LIMITS, 0, 0),
    "those that are busy count": (_seen(queued=4, started=4, busy=2), LIMITS, 2, 0),
    "those that drain take no job": (_seen(queued=2, draining=1), LIMITS, 1, 0),
    "those that drain count against the maximum": (_seen(queued=1000, draining=3), LIMITS, 1, 0),
    "all places taken by those that drain": (_seen(queued=1000, draining=4), LIMITS, 0, 0),
    "the minimum without any job": (_seen(), Limits(2, 4, 2), 2, 0),
    "idle, but not for long": (_seen(idle=3, quiet=9.9), LIMITS, 0, 0),
    "idle for long": (_seen(idle=3, quiet=10.0), LIMITS, 0, 3),
    "idle for long, down to the minimum": (_seen(idle=3, quiet=99), Limits(1, 4, 2), 0, 2),
    "busy ones are never drained": (_seen(started=1, idle=1, busy=1), LIMITS, 0, 0),
    "the maximum was lowered": (_seen(queued=9, idle=1, busy=5), LIMITS, 0, 2),
    "no worker is wanted at all": (_seen(queued=9), Limits(0, 0), 0, 0),
}


@pytest.mark.parametrize(("seen", "limits", "launch", "drain"), SITUATIONS.values(), ids=SITUATIONS.keys())
def test_decision(seen: Observation, limits: Limits, launch: int, drain: int) -> None:
    decision = decide(seen, limits)
    assert (decision.launch, decision.drain) == (launch, drain)


@pytest.mark.parametrize(
    ("seen", "verb"), [(_seen(queued=1), "LAUNCH 1"), (_seen(idle=2, quiet=60), "DRAIN 2"), (_seen(), "KEEP 0")]
)
def test_the_reason_can_be_checked_by_hand(seen: Observation, verb: str) -> None:
    reason = decide(seen, LIMITS).reason
    assert reason.startswith(verb)
    assert f"queued={seen.queued} started={seen.started} idle={seen.idle} busy={seen.busy}" in reason
    assert "min=0 max=4" in reason


def test_whatever_is_seen_the_limits_hold() -> None:
    numbers = (0, 1, 3, 7)
    for queued, started, idle, busy, draining, booting in itertools.product(numbers, repeat=6):
        seen = _seen(queued, started, idle, busy, draining, booting, quiet=100)
        decision = decide(seen, LIMITS)
        living = idle + busy + draining + booting
        assert decision.launch >= 0
        assert decision.drain >= 0
        assert not (decision.launch and decision.drain)
        assert not decision.launch or living + decision.launch <= LIMITS.max_workers
        assert not (decision.drain and queued + started) or idle + busy + booting > LIMITS.max_workers
