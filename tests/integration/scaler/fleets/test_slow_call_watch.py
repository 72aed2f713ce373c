"""A call to the fleet that hangs holds the rounds up, and the log says which one, once."""

import asyncio
import logging
import re
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from jobqueue.sharding.shards import Shards
from scaler import loop as scaler_loop
from scaler.fleets.instances import DescribedInstance
from scaler.loop import ScalerLoop
from scaler.metrics import ScalerMetrics
from tests.integration.scaler.conftest import LIMITS, FakeFleet
from tests.waiting import until_async


class HangingFleet(FakeFleet):
    """Does not show anything until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()
        self.looks = 0

    async def describe(self) -> Sequence[DescribedInstance]:
        self.looks += 1
        await self.let_go.wait()
        return await super().describe()


async def test_what_a_round_waits_for_is_told_once(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scaler_loop, "SLOW_CALL_SECONDS", 0.2)
    monkeypatch.setattr(scaler_loop, "TICK_SECONDS", 0.1)
    caplog.set_level(logging.WARNING, "scaler")
    shards = await Shards.connect(redis_url)
    fleet = HangingFleet()
    loop = ScalerLoop(shards, fleet, LIMITS, "host:1", ScalerMetrics(CollectorRegistry()))
    loop.start()
    try:
        await until_async(lambda: _told(caplog), wanted="a word of the call that hangs")
        await asyncio.sleep(0.5)  # several looks at the clock later
        (said,) = [record.getMessage() for record in caplog.records if record.name == "scaler.loop"]
        assert re.fullmatch(
            r"event=scaler_round_slow fleet=fake call=describe seconds=\d+: no round runs until the fleet answers",
            said,
        )
        fleet.let_go.set()
        await until_async(lambda: _looked_again(fleet), wanted="the next round")
    finally:
        fleet.let_go.set()
        await loop.stop()
        await shards.close()


async def _told(caplog: pytest.LogCaptureFixture) -> bool:
    return "event=scaler_round_slow" in caplog.text


async def _looked_again(fleet: HangingFleet) -> bool:
    return fleet.looks > 1
