"""The processes of a local fleet whose manager is gone are not waited for, because they have ended with it."""

import asyncio
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from jobqueue.sharding.shard import Shard
from scaler.fleets import local_processes
from scaler.fleets.instances import Instance
from scaler.fleets.local import PROFILE, LocalFleet
from scaler.fleets.local_processes import ended_before_registration, identity_of
from scaler.state.leader_election import LEADER_LEASE_SECONDS
from tests.fake_clock import FakeClock
from tests.integration.jobqueue.queue_helpers import enqueue_jobs
from tests.integration.scaler.conftest import NewLoop, read_stored

pytestmark = pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="the system is not Linux")


async def _ended_pid() -> int:
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    return process.pid


async def test_workers_that_ended_while_they_booted_are_replaced_at_once(
    shard: Shard, redis_url: str, new_loop: NewLoop, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "scaler")
    fleets = [LocalFleet(redis_url), LocalFleet(redis_url)]
    loops = [new_loop(fleet, number) for number, fleet in enumerate(fleets, 1)]
    try:
        await enqueue_jobs(shard, "a", now=clock.now)
        await loops[0].run_round()
        (first,) = await fleets[0].describe()
        clock.advance(LEADER_LEASE_SECONDS + 1)
        await loops[1].run_round()
        assert (await read_stored(shard, "instances")).keys() == {first.id}  # another manager's, and it still boots
        assert await fleets[0].terminate([first.id])
        await loops[1].run_round()
        (second,) = await fleets[1].describe()
        assert (await read_stored(shard, "instances")).keys() == {second.id}
        assert clock.now - first.launched_at < PROFILE.boot_timeout_seconds
        assert "instances_never_registered" not in caplog.text
    finally:
        for fleet in fleets:
            await fleet.close()


async def test_only_a_process_of_this_machine_that_certainly_ended_is_believed_to_have_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = Instance("a", 1.0, process=identity_of(await _ended_pid()))
    machine = ended.process.rpartition("/")[0]
    others = [
        replace(ended, process=process)
        for process in ("", "/1", f"other{ended.process}", machine, f"{machine}/x", f"{machine}/{2**80}")
    ]
    alive = replace(ended, process=identity_of(os.getpid()))
    registered = replace(ended, arrived_at=2.0)
    assert [(each.id, each.ended) for each in ended_before_registration([ended])] == [("a", True)]
    assert ended_before_registration([*others, alive, registered]) == []
    monkeypatch.setattr(local_processes, "_machine", lambda: "")
    assert identity_of(1) == ""
    assert ended_before_registration([ended, *others]) == []
