"""The channel between the processes of a manager, and what a sibling is told over it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from jobqueue.servers.url import parse_redis_url
from manager.cluster.health import ClusterState
from manager.cluster.reconciler import ClusterReconciler
from manager.queue.watched_servers import WatchedServers
from manager.siblings.channel import Answerer, Channel, NoAnswer
from manager.siblings.group import ProcessGroup
from manager.siblings.sibling import Sibling
from tests.unconnected_queue import unconnected_queue
from tests.waiting import until_async


@asynccontextmanager
async def _channels(answerers: dict[str, Answerer]) -> AsyncIterator[tuple[Channel, Channel, asyncio.Event]]:
    """Yield an end that asks, one that answers, and what is set when the asking one sees the other's end."""
    ended = asyncio.Event()
    ends = socket.socketpair()
    asking, answering = Channel(ends[0], {}, ended.set), Channel(ends[1], answerers, lambda: None)
    await asyncio.gather(asking.start(), answering.start())

    async def is_open() -> bool:
        return asking.is_open

    await until_async(is_open)
    yield asking, answering, ended
    await asyncio.gather(asking.close(), answering.close())


async def _double(about: int) -> int:
    return about * 2


async def test_questions_are_answered_side_by_side() -> None:
    first_asked, release = asyncio.Event(), asyncio.Event()

    async def wait(_: object) -> str:
        first_asked.set()
        await release.wait()
        return "at last"

    async with _channels({"double": _double, "wait": wait}) as (asking, _, _):
        slow = asyncio.create_task(asking.ask("wait"))
        await first_asked.wait()
        assert await asking.ask("double", 21) == 42
        release.set()
        assert await slow == "at last"


async def test_an_answer_can_be_as_long_as_the_metrics_of_thousands_of_queues() -> None:
    async def text(_: object) -> str:
        return "x" * 8_000_000

    async with _channels({"text": text}) as (asking, _, _):
        assert len(await asking.ask("text")) == 8_000_000


async def test_a_question_that_fails_is_told_and_the_next_one_answered() -> None:
    async def fail(_: object) -> None:
        raise ValueError("no such thing")

    async with _channels({"double": _double, "fail": fail}) as (asking, _, _):
        with pytest.raises(NoAnswer, match="no such thing"):
            await asking.ask("fail")
        with pytest.raises(NoAnswer, match="KeyError"):
            await asking.ask("unknown")
        assert await asking.ask("double", 1) == 2


async def test_who_waits_for_an_answer_is_told_that_the_other_process_has_ended() -> None:
    asked = asyncio.Event()

    async def hang(_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with _channels({"hang": hang}) as (asking, answering, ended):
        waiting = asyncio.create_task(asking.ask("hang"))
        await asked.wait()
        closing = asyncio.create_task(answering.close())
        with pytest.raises(NoAnswer):
            await waiting
        await ended.wait()
        with pytest.raises(NoAnswer):
            await asking.ask("hang")
        await closing


async def test_a_late_answer_is_dropped() -> None:
    release = asyncio.Event()

    async def wait(_: object) -> str:
        await release.wait()
        return "late"

    async with _channels({"double": _double, "wait": wait}) as (asking, _, _):
        with pytest.raises(NoAnswer):
            await asking.ask("wait", seconds=0.01)
        release.set()
        assert await asking.ask("double", 4) == 8


async def test_a_sibling_knows_what_the_main_process_has_seen_of_the_redis_servers() -> None:
    queue = unconnected_queue()
    reconciler = ClusterReconciler([], parse_redis_url("redis://127.0.0.1:1").connect)
    reconciler.state = ClusterState(6, 1, 0, 1, 0, 0, ("start host b",))
    main, ends = ProcessGroup(), socket.socketpair()
    WatchedServers(queue, reconciler, main)
    channel, sibling = Channel(ends[0], main.answerers, lambda: None), Sibling(ends[1], 2)
    await asyncio.gather(channel.start(), sibling.start())

    async def cluster() -> Mapping[str, Any] | None:
        with suppress(NoAnswer):
            return (await WatchedServers(queue, None, sibling).seen()).cluster
        return None

    seen = await until_async(cluster)
    assert seen is not None
    assert (seen["members_down"], seen["requires_operator"]) == (1, ["start host b"])
    await asyncio.gather(channel.close(), sibling.close())
