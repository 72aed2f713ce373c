"""An issuer is asked rarely, whatever requests bring, and its keys are used on while it is away."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from joserfc.jwk import ECKey, KeySet

from manager.jwt.errors import IssuerUnavailable
from manager.jwt.issuer_keys import MAX_AGE_SECONDS, MIN_ASK_SECONDS, IssuerKeys
from tests.fake_clock import FakeClock
from tests.waiting import until_async


class Source:
    """Stands for the issuer."""

    def __init__(self) -> None:
        self.fetches = 0
        self.answer: KeySet | Exception = self.new_keys()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def new_keys(self) -> KeySet:
        self.answer = KeySet([ECKey.generate_key("P-256")])
        return self.answer

    async def fetch(self) -> KeySet:
        self.fetches += 1
        await self.may_answer.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def has_been_asked(self, times: int) -> None:
        async def check() -> bool:
            return self.fetches >= times

        await until_async(check)
        for _ in range(5):
            await asyncio.sleep(0)  # What was fetched is stored.


@asynccontextmanager
async def started(source: Source, clock: FakeClock) -> AsyncIterator[IssuerKeys]:
    keys = IssuerKeys(source.fetch, clock)
    keys.start()
    try:
        yield keys
    finally:
        await keys.stop()


async def test_a_storm_of_unknown_keys_costs_one_fetch_per_30_seconds() -> None:
    source, clock = Source(), FakeClock()
    async with started(source, clock) as keys:
        await source.has_been_asked(1)
        first = keys.current()
        for number in (2, 3):
            second = source.new_keys()
            assert [keys.ask() for _ in range(1000)] == [True] * 1000
            await source.has_been_asked(number)
            assert keys.current() is second
            assert not any(keys.ask() for _ in range(1000))
            clock.advance(MIN_ASK_SECONDS - 0.1)
            assert not any(keys.ask() for _ in range(1000))
            await asyncio.sleep(0)
            assert source.fetches == number
            clock.advance(0.2)
        assert first is not second


async def test_an_unknown_key_is_in_doubt_while_the_issuer_is_being_asked() -> None:
    source, clock = Source(), FakeClock()
    source.may_answer.clear()
    async with started(source, clock) as keys:
        await source.has_been_asked(1)
        assert keys.current() is None
        assert keys.ask()
        source.may_answer.set()
        await source.has_been_asked(2)
        assert keys.current() is not None
        assert not keys.ask()


async def test_keys_are_used_on_for_a_day_while_the_issuer_is_away(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    source, clock = Source(), FakeClock()
    async with started(source, clock) as keys:
        await source.has_been_asked(1)
        known = keys.current()
        assert known is not None
        for number, error in enumerate((IssuerUnavailable("away"), RuntimeError("odd")), 2):
            source.answer = error
            clock.advance(MIN_ASK_SECONDS)
            keys.ask()
            await source.has_been_asked(number)
            assert keys.current() is known
        clock.advance(MAX_AGE_SECONDS - 2 * MIN_ASK_SECONDS)
        assert keys.current() is known
        clock.advance(0.1)
        assert keys.current() is None
        source.answer = KeySet(known.keys)
        keys.ask()
        await source.has_been_asked(4)
        assert keys.current() is known
    events = [record.getMessage().split()[0] for record in caplog.records]
    assert events == [
        *("event=issuer_keys_changed", "event=issuer_unavailable", "event=issuer_keys_crashed"),
        "event=issuer_available",
    ]


async def test_an_issuer_that_is_away_at_the_start_is_asked_again() -> None:
    source, clock = Source(), FakeClock()
    keys, source.answer = source.answer, IssuerUnavailable("away")
    async with started(source, clock) as known:
        await source.has_been_asked(1)
        assert known.current() is None
        source.answer = keys
        await source.has_been_asked(2)
        assert known.current() is keys
