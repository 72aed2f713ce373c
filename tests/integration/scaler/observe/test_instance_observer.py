"""Polling the fleet: how often, and what happens while it does not answer."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from jobqueue.sharding.shard import Shard
from scaler.fleets.fleet import Cause, FleetError
from scaler.fleets.instances import DescribedInstance
from scaler.loop import ScalerLoop
from tests.fake_clock import FakeClock
from tests.integration.scaler.conftest import FakeFleet, NewLoop, send_heartbeat

POLL_SECONDS, IDLE_POLL_SECONDS = 5.0, 30.0


async def test_no_worker_is_drained_until_the_fleet_has_been_described(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> list[DescribedInstance]:
        raise FleetError(Cause.THROTTLED, "RequestLimitExceeded", "slow down")

    async def drained_one_second_later() -> int:
        clock.advance(1.0)
        await send_heartbeat(shard, "one")
        decision = await loop_.run_round()
        return decision.drain if decision else 0

    await fleet.register_workers(shard, "one")
    with monkeypatch.context() as patched:
        patched.setattr(fleet, "describe", fail)
        assert sum([await drained_one_second_later() for _ in range(60)]) == 0
    assert await drained_one_second_later() == 1


async def test_a_fleet_without_changes_is_polled_twice_a_minute(
    shard: Shard, loop_: ScalerLoop, fleet: FakeFleet, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = 0
    describe = fleet.describe

    async def count_and_describe() -> Sequence[DescribedInstance]:
        nonlocal polls
        polls += 1
        return await describe()

    monkeypatch.setattr(fleet, "describe", count_and_describe)
    fleet.profile = replace(fleet.profile, poll_seconds=POLL_SECONDS, idle_poll_seconds=IDLE_POLL_SECONDS)
    fleet.described["one"] = DescribedInstance("one", clock.now)
    await fleet.register_workers(shard, "one")
    await loop_.run_round()
    polls = 0
    for _ in range(60):
        clock.advance(1.0)
        await send_heartbeat(shard, "one", running=1)
        await loop_.run_round()
    assert polls == 60 / IDLE_POLL_SECONDS


async def test_a_fleet_that_does_not_answer_is_one_line_at_its_begin_and_end(
    loop_: ScalerLoop,
    fleet: FakeFleet,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    causes = [Cause.THROTTLED, Cause.THROTTLED, Cause.UNKNOWN, Cause.THROTTLED]

    async def fail() -> list[DescribedInstance]:
        raise FleetError(causes.pop(0), "code", "no")

    caplog.set_level(logging.INFO, "scaler.observe.instance_observer")
    with monkeypatch.context() as patched:
        patched.setattr(fleet, "describe", fail)
        while causes:
            clock.advance(1.0)
            await loop_.run_round()
    for _ in range(2):
        clock.advance(1.0)
        await loop_.run_round()
    events = [message.split()[:2] for message in caplog.messages if "event=fleet_describe" in message]
    assert events[:2] == [
        ["event=fleet_describe_failed", f"cause={Cause.THROTTLED.value}"],
        ["event=fleet_describe_failed", f"cause={Cause.UNKNOWN.value}"],
    ]
    assert [event for event, _ in events[2:]] == ["event=fleet_describe_recovered"]


async def test_a_throttled_fleet_is_polled_with_growing_pauses(
    new_loop: NewLoop,
    fleet: FakeFleet,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    polled_at: list[float] = []
    throttled_until = clock.now + 300.0

    async def describe() -> Sequence[DescribedInstance]:
        polled_at.append(clock.now)
        if clock.now < throttled_until:
            raise FleetError(Cause.THROTTLED, "RequestLimitExceeded", "slow down")
        return []

    caplog.set_level(logging.INFO, "scaler.observe.instance_observer")
    monkeypatch.setattr(fleet, "describe", describe)
    fleet.profile = replace(fleet.profile, poll_seconds=POLL_SECONDS, idle_poll_seconds=IDLE_POLL_SECONDS)
    loop = new_loop(fleet)
    while clock.now < throttled_until + 60.0:
        clock.advance(1.0)
        await loop.run_round()
    pauses = [later - earlier for earlier, later in pairwise(polled_at)]
    assert all(pause >= POLL_SECONDS / 2 for pause in pauses)
    assert len([at for at in polled_at if at < throttled_until]) <= 14
    assert max(pauses) <= 61.0
    events = [message.split()[0] for message in caplog.messages if "event=fleet_describe" in message]
    assert events == ["event=fleet_describe_failed", "event=fleet_describe_recovered"]
