"""Faults of memory, disks, clocks and power: what each one breaks, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from pathlib import Path

import redis

from tests.acceptance.faults.fault_context import FaultContext
from tests.acceptance.faults.process_faults import kill_all_at_once
from tests.acceptance.faults.system_under_test import MAX_MEMORY, RedisServer

_ROOM_BYTES = 2_000_000
_BALLAST_BYTES = 100_000


async def fill_memory(on: FaultContext) -> None:
    """The masters have a little room left, which other data take, and whatever becomes free."""
    ballast = {master: _own_key(master) for master in on.system.masters()}
    for master in ballast:
        on.struck.append(master.name)
        used = int(master.command("INFO", "memory")["used_memory"])
        master.command("CONFIG", "SET", "maxmemory", used + _ROOM_BYTES)
    loop = asyncio.get_running_loop()
    end = loop.time() + on.duration_seconds
    try:
        while loop.time() < end:
            for master, key in ballast.items():
                await asyncio.to_thread(_fill_memory, master, key)
            await asyncio.sleep(0.2)
    finally:
        for master, key in ballast.items():
            master.command("CONFIG", "SET", "maxmemory", MAX_MEMORY)
            master.command("DEL", key)


async def fill_disk(on: FaultContext) -> None:
    """All disks of one host."""
    host = on.any_host()
    disks = [store.disk for store in on.system.redis_servers if store.host is host]
    for disk in disks:
        disk.fill_up()
    try:
        await on.wait_duration()
    finally:
        for disk in disks:
            disk.free_space()


def faketime_library() -> str | None:
    """The library that shifts one host's clock, of Debian's `libfaketime`; None where it is not installed."""
    return next(map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


async def shift_clock(on: FaultContext) -> None:
    """A host returns with its clock half a minute ahead, and is then put right, as hosts are: by a restart."""
    library = faketime_library()
    assert library is not None, "apt-get install libfaketime"
    programs = on.system.programs_on(on.any_host())
    wrong = {"LD_PRELOAD": library, "FAKETIME": "+30s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    for program in programs:
        program.environ |= wrong
    try:
        kill_all_at_once(programs)
        await on.system.wait_until_healthy(120)
        await on.wait_duration()
    finally:
        for program in programs:
            program.environ = {name: value for name, value in program.environ.items() if name not in wrong}
        kill_all_at_once(programs)


async def cut_power(on: FaultContext) -> None:
    """All hosts at once: what no disk has is gone."""
    programs = on.system.programs
    for program in programs:
        program.hold_down()
    on.power_cut_at = asyncio.get_running_loop().time()
    # In threads, so that the clients read meanwhile what was answered before.
    await asyncio.to_thread(kill_all_at_once, programs)
    await asyncio.gather(*(asyncio.to_thread(store.disk.drop_unsynced) for store in on.system.redis_servers))
    for program in programs:
        program.allow_restart()


def _own_key(master: RedisServer) -> str:
    """A key of one of the master's slots."""
    for number in itertools.count():
        key = f"ballast:{number}"
        with contextlib.suppress(redis.exceptions.MovedError):
            master.command("DEL", key)
            return key
    raise AssertionError("there are numbers enough")


def _fill_memory(master: RedisServer, key: str) -> None:
    with contextlib.suppress(redis.RedisError):
        while True:
            master.command("APPEND", key, "x" * _BALLAST_BYTES)
