"""Alerts of a real queue at a real receiver: each once when it begins and once when it ends, whoever tells them."""

import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Any
from unittest.mock import Mock

import pytest

from jobqueue.errors import ShardUnavailable
from jobqueue.sharding.shards import Shards
from manager.alerts.reading import BackupNote, FactsReader
from manager.alerts.sender import AlertSender
from manager.alerts.tracker import AlertTracker
from manager.alerts.watch import AlertWatch
from manager.queue.circuit_breaker import ShardBreaker
from manager.queue.overview import Overview
from manager.settings import ManagerSettings
from tests.acceptance.manager.callback_receiver import Receiver, Reply
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.waiting import until_async
from workmanager.local.valkey import ValkeyServer

HOUR = 3600.0


@pytest.fixture
async def shards(redis_url: str) -> AsyncIterator[Shards]:
    connected = await Shards.connect(redis_url)
    yield connected
    await connected.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


class Manager:
    """A manager's alerts. `tells` is set by the test."""

    def __init__(self, shards: Shards, receiver: Receiver, *kinds: str) -> None:
        self.reporter = Mock(tells=False)
        settings = ManagerSettings(alert_url=f"http://127.0.0.1:{receiver.port}/", wait_target_seconds=60.0)
        reader = FactsReader(shards, Overview(shards, ShardBreaker()), settings, launches_workers=False)
        tracker = AlertTracker(hold_seconds={})
        self.watch = AlertWatch(shards, self.reporter, reader, AlertSender(settings), kinds=kinds, tracker=tracker)

    async def look(self, now: float) -> None:
        await self.watch.look(now)


def received(receiver: Receiver) -> list[Any]:
    """Status and subject of each alert in each message, since the last call."""
    messages = [
        [(alert["status"], alert["kind"], alert["subject"]) for alert in request.event["alerts"]]
        for request in receiver.requests
    ]
    receiver.requests.clear()
    return messages


async def test_alerts_begin_and_end_once_although_the_manager_that_tells_changes(
    shards: Shards, receiver: Receiver
) -> None:
    (shard,), now = shards, time.time()
    one, other = Manager(shards, receiver), Manager(shards, receiver)
    await enqueue_jobs(shard, "a", now=now - 100)
    await enqueue_jobs(shard, "b", now=now - 100, queue="high")
    await one.look(now)
    assert received(receiver) == []  # It is not the one that tells.
    one.reporter.tells = True
    for seconds in range(3):
        await one.look(now + seconds)
        await other.look(now + seconds)
    waiting = [("wait_target_missed", "default"), ("wait_target_missed", "high")]
    assert received(receiver) == [[("began", *which) for which in waiting]]
    one.reporter.tells, other.reporter.tells = False, True
    for seconds in range(3, 6):
        await one.look(now + seconds)
        await other.look(now + seconds)
    assert received(receiver) == []
    await shard.execute(("DEL", f"{shard.prefix}:queue:default"), ("DEL", f"{shard.prefix}:queue:high"))
    await other.look(now + 50)
    await other.look(now + 100)
    assert received(receiver) == [[("ended", *which) for which in waiting]]
    await other.look(now + 200)
    assert received(receiver) == []
    for manager in (one, other):
        await manager.watch.stop()


async def test_a_receiver_that_is_away_gets_all_when_it_is_back(shards: Shards, receiver: Receiver) -> None:
    (shard,), now, manager = shards, time.time(), Manager(shards, receiver)
    manager.reporter.tells = True
    await enqueue_jobs(shard, "a", now=now - 100)
    receiver.answer = lambda _: Reply(503)
    await manager.look(now)
    await manager.look(now + 1)  # Too early to try again.
    assert len(received(receiver)) == 1
    receiver.answer = lambda _: Reply()
    await manager.look(now + 6)
    assert received(receiver) == [[("began", "wait_target_missed", "default")]]
    await manager.look(now + 12)
    assert received(receiver) == []
    await manager.watch.stop()


async def test_only_the_kinds_that_are_wanted_are_told(shards: Shards, receiver: Receiver) -> None:
    (shard,), now, manager = shards, time.time(), Manager(shards, receiver, "shard_away")
    manager.reporter.tells = True
    await enqueue_jobs(shard, "a", now=now - 100)
    await manager.look(now)
    assert received(receiver) == []
    await manager.watch.stop()


async def test_a_shard_that_is_away_is_told_although_nothing_can_be_stored_then(
    private_server: ValkeyServer, receiver: Receiver
) -> None:
    shards = await Shards.connect(private_server.url)
    manager, now = Manager(shards, receiver), time.time()
    manager.reporter.tells = True
    await manager.look(now)
    private_server.kill()
    for seconds in (5, 10, 15):
        with pytest.raises(ShardUnavailable):
            await manager.look(now + seconds)
    assert received(receiver) == [[("began", "shard_away", "rq")]]
    private_server.start()

    seconds = count(20, 100)

    async def has_told() -> bool:
        with contextlib.suppress(ShardUnavailable):
            await manager.look(now + next(seconds))
        return bool(receiver.requests)

    await until_async(has_told)
    assert received(receiver) == [[("ended", "shard_away", "rq")]]
    await manager.watch.stop()
    await shards.close()


async def test_hosts_tell_of_their_backups(shards: Shards, receiver: Receiver, tmp_path: Any) -> None:
    manager, now = Manager(shards, receiver), time.time()
    manager.reporter.tells = True
    await BackupNote(shards, str(tmp_path / "never"), "10.0.0.10").write()
    await manager.look(now)
    assert received(receiver) == []  # The start of the host counts as a backup.
    await manager.look(now + 4 * HOUR)
    assert received(receiver) == [[("began", "backup_failed", "10.0.0.10")]]
    await manager.watch.stop()
