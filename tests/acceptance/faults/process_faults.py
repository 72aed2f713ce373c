"""Faults of programs and hosts: what each one breaks, and how it ends. Each returns once its cause is gone, not the
harm."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence

from tests.acceptance.faults.fault_context import FaultContext, InjectFault
from tests.acceptance.faults.supervised_programs import SupervisedProgram
from tests.acceptance.faults.system_under_test import RedisServer
from tests.waiting import until_async


def kill_program(choose: Callable[[FaultContext], SupervisedProgram]) -> InjectFault:
    """The chosen program is killed."""

    async def fault(on: FaultContext) -> None:
        choose(on).kill()

    return fault


def freeze_program(choose: Callable[[FaultContext], SupervisedProgram]) -> InjectFault:
    """The chosen program does nothing for a while, and does not know it."""

    async def fault(on: FaultContext) -> None:
        program = choose(on)
        program.send_signal(signal.SIGSTOP)
        try:
            await on.wait_duration()
        finally:
            program.send_signal(signal.SIGCONT)

    return fault


async def kill_executors(on: FaultContext) -> None:
    """All executors of one agent."""
    _signal(on.any_agent().children(), signal.SIGKILL)


async def freeze_executors(on: FaultContext) -> None:
    """All executors of one agent do nothing for a while."""
    executors = on.any_agent().children()
    _signal(executors, signal.SIGSTOP)
    try:
        await on.wait_duration()
    finally:
        _signal(executors, signal.SIGCONT)


async def lose_host(on: FaultContext) -> None:
    """All that runs on one of the managers' hosts is killed."""
    kill_all_at_once(on.system.programs_on(on.any_host()))


async def lose_hosts_in_turn(on: FaultContext) -> None:
    """The second one is lost as soon as the first is back in its place."""
    for host in (on.system.first, on.system.second):
        kill_all_at_once(on.system.programs_on(host))
        await on.system.wait_until_healthy(120)


async def lose_witness(on: FaultContext) -> None:
    """All that runs on the third host is killed."""
    kill_all_at_once(on.system.programs_on(on.system.witness))


async def replace_host(on: FaultContext) -> None:
    """It comes back at the same addresses, with empty disks."""
    programs = on.system.programs_on(on.any_host())
    for program in programs:
        program.kill()
        if isinstance(program, RedisServer):
            program.disk.erase()


async def restart_managers(on: FaultContext) -> None:
    """One after the other, in order."""
    for manager in on.system.managers:
        manager.send_signal(signal.SIGTERM)
        await _until_ended(manager)
        await on.system.wait_until_healthy(120)


async def restart_redis_servers(on: FaultContext) -> None:
    """Every Redis, one after the other, in order."""
    for store in on.system.redis_servers:
        await on.system.hand_over_slots(store)
        store.send_signal(signal.SIGTERM)
        await _until_ended(store)
        await on.system.wait_until_healthy(120)


def kill_all_at_once(programs: Sequence[SupervisedProgram]) -> None:
    """Kills them all at once: none of them sees another one's end."""
    for program in programs:
        program.send_signal(signal.SIGKILL)
    for program in programs:
        program.kill()


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(pid, number)


async def _until_ended(program: SupervisedProgram) -> None:
    pid = program.pid

    async def ended() -> bool:
        return program.pid is None or program.pid != pid

    await until_async(ended, 60, wanted=f"the end of {program.name}")
