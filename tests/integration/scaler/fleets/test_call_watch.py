"""A call to the fleet that hangs delays the rounds, and is logged once."""

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
    """Does not answer `describe` until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()
        self.describe_calls = 0

    async def describe(self) -> Sequence[DescribedInstance]:
        self.describe_calls += 1
        await self.released.wait()
        return await super().describe()


async def test_a_slow_call_is_logged_once(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scaler_loop, "SLOW_CALL_SECONDS", 0.2)
    monkeypatch.setattr(scaler_loop, "ROUND_SECONDS", 0.1)
    caplog.set_level(logging.WARNING, "scaler")
    shards = await Shards.connect(redis_url)
    fleet = HangingFleet()
    loop = ScalerLoop(shards, fleet, LIMITS, "host:1", ScalerMetrics(CollectorRegistry()))
    loop.start()
    try:
        await until_async(lambda: _is_logged(caplog), wanted="a log line about the slow call")
        await asyncio.sleep(0.5)  # Several checks later.
        (message,) = [record.getMessage() for record in caplog.records if record.name == "scaler.loop"]
        assert re.fullmatch(
            r"event=scaler_round_slow fleet=fake call=describe seconds=\d+: no round runs until the fleet answers",
            message,
        )
        fleet.released.set()
        await until_async(lambda: _has_described_again(fleet), wanted="the next round")
    finally:
        fleet.released.set()
        await loop.stop()
        await shards.close()


async def _is_logged(caplog: pytest.LogCaptureFixture) -> bool:
    return "event=scaler_round_slow" in caplog.text


async def _has_described_again(fleet: HangingFleet) -> bool:
    return fleet.describe_calls > 1
