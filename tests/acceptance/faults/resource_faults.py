"""Faults of memory, disks, clocks and power: what each one breaks, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from pathlib import Path

import redis

from tests.acceptance.faults.process_faults import lose
from tests.acceptance.faults.fault_context import Situation
from tests.acceptance.faults.system_under_test import MAX_MEMORY, Store

_ROOM_BYTES = 2_000_000
_BALLAST_BYTES = 100_000


async def memory_full(on: Situation) -> None:
    """The masters have a little room left, which other data take, and whatever becomes free."""
    ballast = {master: _own_key(master) for master in on.system.masters()}
    for master in ballast:
        on.struck.append(master.name)
        used = int(master.ask("INFO", "memory")["used_memory"])
        master.ask("CONFIG", "SET", "maxmemory", used + _ROOM_BYTES)
    loop = asyncio.get_running_loop()
    end = loop.time() + on.seconds
    try:
        while loop.time() < end:
            for master, key in ballast.items():
                await asyncio.to_thread(_fill_memory, master, key)
            await asyncio.sleep(0.2)
    finally:
        for master, key in ballast.items():
            master.ask("CONFIG", "SET", "maxmemory", MAX_MEMORY)
            master.ask("DEL", key)


async def disk_full(on: Situation) -> None:
    """All disks of one host."""
    host = on.any_host()
    disks = [store.disk for store in on.system.stores if store.host is host]
    for disk in disks:
        disk.fill()
    try:
        await on.last()
    finally:
        for disk in disks:
            disk.free()


def fake_clock() -> str | None:
    """The library that shifts one host's clock, of Debian's `libfaketime`; None where it is not installed."""
    return next(map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


async def clock_off(on: Situation) -> None:
    """A host returns with its clock half a minute ahead, and is then put right, as hosts are: by a restart."""
    library = fake_clock()
    assert library is not None, "apt-get install libfaketime"
    programs = on.system.on(on.any_host())
    wrong = {"LD_PRELOAD": library, "FAKETIME": "+30s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    for program in programs:
        program.environ |= wrong
    try:
        lose(programs)
        await on.system.until_whole(120)
        await on.last()
    finally:
        for program in programs:
            program.environ = {name: value for name, value in program.environ.items() if name not in wrong}
        lose(programs)


async def power_cut(on: Situation) -> None:
    """All hosts at once: what no disk has is gone."""
    programs = on.system.programs
    for program in programs:
        program.hold()
    on.power_cut_at = asyncio.get_running_loop().time()
    # In threads, so that the clients read meanwhile what was answered before.
    await asyncio.to_thread(lose, programs)
    await asyncio.gather(*(asyncio.to_thread(store.disk.lose_power) for store in on.system.stores))
    for program in programs:
        program.release()


def _own_key(master: Store) -> str:
    """A key of one of the master's slots."""
    for number in itertools.count():
        key = f"ballast:{number}"
        with contextlib.suppress(redis.exceptions.MovedError):
            master.ask("DEL", key)
            return key
    raise AssertionError("there are numbers enough")


def _fill_memory(master: Store, key: str) -> None:
    with contextlib.suppress(redis.RedisError):
        while True:
            master.ask("APPEND", key, "x" * _BALLAST_BYTES)
