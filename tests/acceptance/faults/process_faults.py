"""Faults of programs and hosts: what each one breaks, and how it ends. Each returns once its cause is gone, not the
harm."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence

from tests.acceptance.faults.supervised_programs import Kept
from tests.acceptance.faults.fault_context import Fault, Situation
from tests.acceptance.faults.system_under_test import Store
from tests.waiting import until_async


def killed(choose: Callable[[Situation], Kept]) -> Fault:
    """The chosen program is killed."""

    async def fault(on: Situation) -> None:
        choose(on).kill()

    return fault


def stopped(choose: Callable[[Situation], Kept]) -> Fault:
    """The chosen program does nothing for a while, and does not know it."""

    async def fault(on: Situation) -> None:
        program = choose(on)
        program.send(signal.SIGSTOP)
        try:
            await on.last()
        finally:
            program.send(signal.SIGCONT)

    return fault


async def executor_killed(on: Situation) -> None:
    """All executors of one agent."""
    _signal(on.any_agent().children(), signal.SIGKILL)


async def executor_stopped(on: Situation) -> None:
    """All executors of one agent do nothing for a while."""
    executors = on.any_agent().children()
    _signal(executors, signal.SIGSTOP)
    try:
        await on.last()
    finally:
        _signal(executors, signal.SIGCONT)


async def host_lost(on: Situation) -> None:
    """All that runs on one of the managers' hosts is killed."""
    lose(on.system.on(on.any_host()))


async def hosts_lost_in_turn(on: Situation) -> None:
    """The second one is lost as soon as the first is back in its place."""
    for host in (on.system.first, on.system.second):
        lose(on.system.on(host))
        await on.system.until_whole(120)


async def witness_lost(on: Situation) -> None:
    """All that runs on the third host is killed."""
    lose(on.system.on(on.system.witness))


async def host_replaced(on: Situation) -> None:
    """It comes back at the same addresses, with empty disks."""
    programs = on.system.on(on.any_host())
    for program in programs:
        program.kill()
        if isinstance(program, Store):
            program.disk.empty()


async def managers_restarted(on: Situation) -> None:
    """One after the other, in order."""
    for manager in on.system.managers:
        manager.send(signal.SIGTERM)
        await _until_ended(manager)
        await on.system.until_whole(120)


async def stores_restarted(on: Situation) -> None:
    """Every Redis, one after the other, in order."""
    for store in on.system.stores:
        await on.system.hand_over(store)
        store.send(signal.SIGTERM)
        await _until_ended(store)
        await on.system.until_whole(120)


def lose(programs: Sequence[Kept]) -> None:
    """Kills them all at once: none of them sees another one's end."""
    for program in programs:
        program.send(signal.SIGKILL)
    for program in programs:
        program.kill()


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(pid, number)


async def _until_ended(program: Kept) -> None:
    pid = program.pid

    async def ended() -> bool:
        return program.pid is None or program.pid != pid

    await until_async(ended, 60, wanted=f"the end of {program.name}")
