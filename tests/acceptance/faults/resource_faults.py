"""Faults of memory, disks, clocks and power."""

import asyncio
import contextlib
import itertools
import subprocess
from collections.abc import Mapping
from pathlib import Path

import redis

from tests.acceptance.faults.fault_context import FaultContext
from tests.acceptance.faults.process_faults import kill_all_at_once
from tests.acceptance.faults.system_under_test import MAX_MEMORY, RedisServer

_ROOM_BYTES = 2_000_000
_BALLAST_BYTES = 100_000
_START_SECONDS = 5.0


async def fill_memory(context: FaultContext) -> None:
    """Fill the masters' memory: other data take the little room left, and all that becomes free."""
    ballast = {master: _key_of(master) for master in context.system.masters()}
    for master in ballast:
        context.targets.append(master.name)
        used = int(master.command("INFO", "memory")["used_memory"])
        master.command("CONFIG", "SET", "maxmemory", used + _ROOM_BYTES)
    loop = asyncio.get_running_loop()
    end = loop.time() + context.duration_seconds
    try:
        while loop.time() < end:
            for master, key in ballast.items():
                await asyncio.to_thread(_append_ballast, master, key)
            await asyncio.sleep(0.2)
    finally:
        for master, key in ballast.items():
            master.command("CONFIG", "SET", "maxmemory", MAX_MEMORY)
            master.command("DEL", key)


async def fill_disk(context: FaultContext) -> None:
    """Fill all disks of one host."""
    host = context.any_host()
    disks = [server.disk for server in context.system.redis_servers if server.host is host]
    for disk in disks:
        disk.fill_up()
    try:
        await context.wait_duration()
    finally:
        for disk in disks:
            disk.free_space()


def faketime_library() -> str | None:
    """Return the path of libfaketime, which shifts a program's clock; None if it is not installed."""
    return next(map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


async def shift_clock(context: FaultContext) -> None:
    """Restart a host with its clock half a minute ahead, and restart it later with the right time.

    A Redis server that does not run under libfaketime keeps the right time: Debian's hangs, because it uses jemalloc.
    """
    library = faketime_library()
    assert library is not None, "apt-get install libfaketime"
    programs = context.system.programs_on(context.any_host())
    wrong = {
        "LD_PRELOAD": library,
        "FAKETIME": "+30s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "WORKMANAGER_JOB_ENVIRONMENT": "FAKETIME*",
    }
    for program in programs:
        if not isinstance(program, RedisServer) or await asyncio.to_thread(_runs_with, wrong, program.binary):
            program.environ |= wrong
    try:
        kill_all_at_once(programs)
        await context.system.wait_until_healthy(120)
        await context.wait_duration()
    finally:
        for program in programs:
            program.environ = {name: value for name, value in program.environ.items() if name not in wrong}
        kill_all_at_once(programs)


def _runs_with(environ: Mapping[str, str], program: str) -> bool:
    try:
        subprocess.run([program, "--version"], env=environ, timeout=_START_SECONDS, check=True, capture_output=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return False
    return True


async def cut_power(context: FaultContext) -> None:
    """Cut the power of all hosts at once: unsynced data are lost."""
    programs = context.system.programs
    for program in programs:
        program.hold_down()
    context.power_cut_at = asyncio.get_running_loop().time()
    # In threads, so that the clients can read the earlier answers in the meantime.
    await asyncio.to_thread(kill_all_at_once, programs)
    await asyncio.gather(*(asyncio.to_thread(server.disk.drop_unsynced) for server in context.system.redis_servers))
    for program in programs:
        program.allow_restart()


def _key_of(master: RedisServer) -> str:
    """Return a key in one of the master's slots."""
    for number in itertools.count():
        key = f"ballast:{number}"
        with contextlib.suppress(redis.exceptions.MovedError):
            master.command("DEL", key)
            return key
    raise AssertionError("unreachable: numbers never run out")


def _append_ballast(master: RedisServer, key: str) -> None:
    with contextlib.suppress(redis.RedisError):
        while True:
            master.command("APPEND", key, "x" * _BALLAST_BYTES)
