"""Faults of programs and hosts. Each function returns once the cause is gone; the system may not have recovered yet."""

import contextlib
import os
import signal
from collections.abc import Callable, Sequence

from tests.acceptance.faults.fault_context import FaultContext, InjectFault
from tests.acceptance.faults.supervised_programs import SupervisedProgram
from tests.acceptance.faults.system_under_test import RedisServer
from tests.waiting import until_async


def kill_program(choose: Callable[[FaultContext], SupervisedProgram]) -> InjectFault:
    """Return a fault that kills the chosen program."""

    async def fault(context: FaultContext) -> None:
        choose(context).kill()

    return fault


def freeze_program(choose: Callable[[FaultContext], SupervisedProgram]) -> InjectFault:
    """Return a fault that stops the chosen program with SIGSTOP for a while."""

    async def fault(context: FaultContext) -> None:
        program = choose(context)
        program.send_signal(signal.SIGSTOP)
        try:
            await context.wait_duration()
        finally:
            program.send_signal(signal.SIGCONT)

    return fault


async def kill_executors(context: FaultContext) -> None:
    """Kill all executors of one agent."""
    _signal(context.any_agent().children(), signal.SIGKILL)


async def freeze_executors(context: FaultContext) -> None:
    """Stop all executors of one agent with SIGSTOP for a while."""
    executors = context.any_agent().children()
    _signal(executors, signal.SIGSTOP)
    try:
        await context.wait_duration()
    finally:
        _signal(executors, signal.SIGCONT)


async def lose_host(context: FaultContext) -> None:
    """Kill all programs on one of the managers' hosts."""
    kill_all_at_once(context.system.programs_on(context.any_host()))


async def lose_hosts_in_turn(context: FaultContext) -> None:
    """Kill all programs on the first manager host, and on the second once the first has recovered."""
    for host in (context.system.first, context.system.second):
        kill_all_at_once(context.system.programs_on(host))
        await context.system.wait_until_healthy(120)


async def lose_witness(context: FaultContext) -> None:
    """Kill all programs on the witness."""
    kill_all_at_once(context.system.programs_on(context.system.witness))


async def replace_host(context: FaultContext) -> None:
    """Kill a manager host; it restarts at the same addresses with empty disks."""
    programs = context.system.programs_on(context.any_host())
    for program in programs:
        program.kill()
        if isinstance(program, RedisServer):
            program.disk.erase()


async def restart_managers(context: FaultContext) -> None:
    """Restart the managers in turn with SIGTERM."""
    for manager in context.system.managers:
        manager.send_signal(signal.SIGTERM)
        await _until_ended(manager)
        await context.system.wait_until_healthy(120)


async def restart_redis_servers(context: FaultContext) -> None:
    """Restart every Redis in turn with SIGTERM, after it has handed its slots over."""
    for server in context.system.redis_servers:
        await context.system.hand_over_slots(server)
        server.send_signal(signal.SIGTERM)
        await _until_ended(server)
        await context.system.wait_until_healthy(120)


def kill_all_at_once(programs: Sequence[SupervisedProgram]) -> None:
    """Kill all programs at once, so that none notices the end of another."""
    for program in programs:
        program.send_signal(signal.SIGKILL)
    for program in programs:
        program.kill()


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it has ended in the meantime
            os.kill(pid, number)


async def _until_ended(program: SupervisedProgram) -> None:
    pid = program.pid

    async def ended() -> bool:
        return program.pid is None or program.pid != pid

    await until_async(ended, 60, wanted=f"the end of {program.name}")
