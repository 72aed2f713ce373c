"""Faults of the network: what each one breaks, and how it ends."""

from __future__ import annotations

import asyncio

from tests.acceptance.faults.fault_context import FaultContext

_RESET_SHARE = 0.05


async def cut_link(on: FaultContext) -> None:
    """A manager goes on serving the clients beside it, and reaches nobody else."""
    host = on.any_host()
    host.disconnect()
    try:
        await on.wait_duration()
    finally:
        host.reconnect(on.system.hosts)


async def cut_sending(on: FaultContext) -> None:
    """A host hears the others, and they do not hear it."""
    host = on.any_host()
    host.block_sending(on.system.hosts)
    try:
        await on.wait_duration()
    finally:
        host.reconnect(on.system.hosts)


async def cut_receiving(on: FaultContext) -> None:
    """The others hear a host, and it does not hear them."""
    host = on.any_host()
    others = [other for other in on.system.hosts if other is not host]
    for other in others:
        other.block_sending([host])
    try:
        await on.wait_duration()
    finally:
        for other in others:
            other.reconnect([host])


async def reset_connections(on: FaultContext) -> None:
    """Every second one of twenty connections: of clients, managers and agents, and of Redis servers to each other."""
    loop = asyncio.get_running_loop()
    end = loop.time() + on.duration_seconds
    number = 0
    while loop.time() < end:
        for host in on.system.hosts:
            number += await asyncio.to_thread(host.reset_connections, _RESET_SHARE, on.rng)
        await asyncio.sleep(1.0)
    on.struck.append(f"{number} connections")
    assert number or on.duration_seconds < 1, (
        "`ss --kill` closed nothing: does this kernel have CONFIG_INET_DIAG_DESTROY?"
    )
