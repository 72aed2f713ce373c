"""Faults of the network: what each one breaks, and how it ends."""

from __future__ import annotations

import asyncio

from tests.acceptance.faults.fault_context import Situation

_RESET_SHARE = 0.05


async def link_cut(on: Situation) -> None:
    """A manager goes on serving the clients beside it, and reaches nobody else."""
    host = on.any_host()
    host.cut()
    try:
        await on.last()
    finally:
        host.mend(on.system.hosts)


async def sending_cut(on: Situation) -> None:
    """A host hears the others, and they do not hear it."""
    host = on.any_host()
    host.mute(on.system.hosts)
    try:
        await on.last()
    finally:
        host.mend(on.system.hosts)


async def receiving_cut(on: Situation) -> None:
    """The others hear a host, and it does not hear them."""
    host = on.any_host()
    others = [other for other in on.system.hosts if other is not host]
    for other in others:
        other.mute([host])
    try:
        await on.last()
    finally:
        for other in others:
            other.mend([host])


async def connections_reset(on: Situation) -> None:
    """Every second one of twenty connections: of clients, managers and agents, and of Redis servers to each other."""
    loop = asyncio.get_running_loop()
    end = loop.time() + on.seconds
    number = 0
    while loop.time() < end:
        for host in on.system.hosts:
            number += await asyncio.to_thread(host.reset, _RESET_SHARE, on.chance)
        await asyncio.sleep(1.0)
    on.struck.append(f"{number} connections")
    assert number or on.seconds < 1, "`ss --kill` closed nothing: does this kernel have CONFIG_INET_DIAG_DESTROY?"
