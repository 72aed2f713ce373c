"""The faults: what each one breaks, and how it ends. Each returns once its cause is gone, not the harm."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.acceptance.faults.network import Host
from tests.acceptance.faults.programs import Kept
from tests.acceptance.faults.system import MAX_MEMORY, Store, System
from tests.waiting import until_async


@dataclass(slots=True)
class Situation:
    """What a fault works on.

    Attributes:
        seconds: how long what lasts is to last.
        excused_since: set by a power cut: from when on acknowledged jobs may be missing (the event loop's clock).
    """

    system: System
    chance: random.Random
    seconds: float
    excused_since: float = float("inf")

    def any_master(self) -> Store:
        return self.chance.choice(self.system.masters())

    def any_replica(self) -> Store:
        masters = self.system.masters()
        return self.chance.choice([store for store in self.system.stores[:4] if store not in masters])

    def any_host(self) -> Host:
        return self.chance.choice([self.system.first, self.system.second])


Fault = Callable[[Situation], Awaitable[None]]


def fake_clock() -> str | None:
    """The library that shifts one host's clock, of Debian's package `faketime`; None where it is not installed."""
    return next(map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


def _killed(choose: Callable[[Situation], Kept]) -> Fault:
    async def fault(on: Situation) -> None:
        choose(on).kill()

    return fault


def _stopped(choose: Callable[[Situation], Kept]) -> Fault:
    async def fault(on: Situation) -> None:
        program = choose(on)
        program.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(on.seconds)
        finally:
            program.send(signal.SIGCONT)

    return fault


async def _executor_killed(on: Situation) -> None:
    for child in on.chance.choice(on.system.workers).children():
        os.kill(child, signal.SIGKILL)


async def _host_lost(on: Situation) -> None:
    await _lose(on.system.on(on.any_host()))


async def _hosts_lost_in_turn(on: Situation) -> None:
    """The second one is lost as soon as the first is back in its place."""
    for host in (on.system.first, on.system.second):
        await _lose(on.system.on(host))
        await on.system.until_whole(60)


async def _witness_lost(on: Situation) -> None:
    await _lose(on.system.on(on.system.witness))


async def _host_replaced(on: Situation) -> None:
    """It comes back at the same addresses, with empty disks."""
    programs = on.system.on(on.any_host())
    for program in programs:
        program.kill()
        for path in program.disk.iterdir() if isinstance(program, Store) else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


async def _link_cut(on: Situation) -> None:
    """Its manager goes on serving the clients beside it."""
    await _cut(on, on.any_host(), lambda host: host.cut())


async def _sending_cut(on: Situation) -> None:
    await _cut(on, on.any_host(), lambda host: host.mute(on.system.hosts))


async def _receiving_cut(on: Situation) -> None:
    host = on.any_host()
    for other in on.system.hosts:
        if other is not host:
            other.mute([host])
    try:
        await asyncio.sleep(on.seconds)
    finally:
        for other in on.system.hosts:
            other.mend([host])


async def _managers_restarted(on: Situation) -> None:
    for manager in on.system.managers:
        manager.send(signal.SIGTERM)
        await _until_ended(manager)
        await on.system.until_whole(60)


async def _stores_restarted(on: Situation) -> None:
    for store in on.system.stores:
        await on.system.hand_over(store)
        store.send(signal.SIGTERM)
        await _until_ended(store)
        await on.system.until_whole(60)


async def _power_cut(on: Situation) -> None:
    """All hosts at once; what no disk has seen is gone: of every append-only file, what came in the last second."""
    loop = asyncio.get_running_loop()
    sizes = [_file_sizes(store) for store in on.system.stores]
    on.excused_since = loop.time() - 1.0  # written before the first look, acknowledged after the file had it
    await asyncio.sleep(1.0)
    for program in on.system.programs:
        program.hold()
    for program in on.system.programs:
        program.send(signal.SIGKILL)
    for program in on.system.programs:
        program.kill()
    for known in sizes:
        for path, size in known.items():
            if path.exists() and path.stat().st_size > size:
                with path.open("ab") as file:
                    file.truncate(size)
    for program in on.system.programs:
        program.release()


async def _memory_full(on: Situation) -> None:
    await _configured(on, "maxmemory", "4mb", MAX_MEMORY)


async def _disk_full(on: Situation) -> None:
    host = on.any_host()
    fillers = [store.disk / "filler" for store in on.system.stores if store.host is host]
    for filler in fillers:
        _fill(filler)
    try:
        await asyncio.sleep(on.seconds)
    finally:
        for filler in fillers:
            filler.unlink()


async def _connections_reset(on: Situation) -> None:
    """About one of twenty connections of every server a second."""
    loop = asyncio.get_running_loop()
    end = loop.time() + on.seconds
    while loop.time() < end:
        for store in on.system.stores:
            try:
                clients = str(store.ask("CLIENT", "LIST", "TYPE", "normal")).splitlines()
                for line in clients:
                    if on.chance.random() < 0.05:
                        store.ask("CLIENT", "KILL", "ID", line.split()[0].removeprefix("id="))
            except redis.RedisError:
                continue
        await asyncio.sleep(1.0)


async def _clock_off(on: Situation) -> None:
    """A host returns with its clock half a minute ahead, and is then put right, as hosts are: by a restart."""
    library = fake_clock()
    assert library is not None, "apt-get install faketime"
    programs = on.system.on(on.any_host())
    wrong = {"LD_PRELOAD": library, "FAKETIME": "+30s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    for program in programs:
        program.environ |= wrong
    try:
        await _lose(programs)
        await on.system.until_whole(60)
        await asyncio.sleep(on.seconds)
    finally:
        for program in programs:
            program.environ = {name: value for name, value in program.environ.items() if name not in wrong}
        await _lose(programs)


FAULTS: Mapping[str, Fault] = {
    "manager killed": _killed(lambda on: on.chance.choice(on.system.managers)),
    "agent killed": _killed(lambda on: on.chance.choice(on.system.workers)),
    "executor killed": _executor_killed,
    "master killed": _killed(Situation.any_master),
    "replica killed": _killed(Situation.any_replica),
    "manager stopped": _stopped(lambda on: on.chance.choice(on.system.managers)),
    "agent stopped": _stopped(lambda on: on.chance.choice(on.system.workers)),
    "master stopped": _stopped(Situation.any_master),
    "replica stopped": _stopped(Situation.any_replica),
    "host lost": _host_lost,
    "host replaced": _host_replaced,
    "hosts lost in turn": _hosts_lost_in_turn,
    "witness lost": _witness_lost,
    "link cut": _link_cut,
    "sending cut": _sending_cut,
    "receiving cut": _receiving_cut,
    "managers restarted": _managers_restarted,
    "stores restarted": _stores_restarted,
    "memory full": _memory_full,
    "disk full": _disk_full,
    "connections reset": _connections_reset,
    "clock off": _clock_off,
    "power cut": _power_cut,
}


async def _lose(programs: list[Kept]) -> None:
    for program in programs:
        program.kill()


async def _cut(on: Situation, host: Host, how: Callable[[Host], None]) -> None:
    how(host)
    try:
        await asyncio.sleep(on.seconds)
    finally:
        host.mend(on.system.hosts)


async def _configured(on: Situation, name: str, value: str, before: str) -> None:
    changed = on.system.masters()
    for store in changed:
        store.ask("CONFIG", "SET", name, value)
    try:
        await asyncio.sleep(on.seconds)
    finally:
        for store in changed:
            store.ask("CONFIG", "SET", name, before)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(65536)):
            pass


def _file_sizes(store: Store) -> dict[Path, int]:
    return {path: path.stat().st_size for path in (store.disk / "appendonlydir").glob("*.aof")}


async def _until_ended(program: Kept) -> None:
    pid = program.pid

    async def ended() -> bool:
        return program.pid is None or program.pid != pid

    await until_async(ended, 60, wanted=f"the end of {program.name}")
