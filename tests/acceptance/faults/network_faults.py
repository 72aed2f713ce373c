"""Faults of the network."""

import asyncio

from tests.acceptance.faults.fault_context import FaultContext

_RESET_SHARE = 0.05


async def cut_link(context: FaultContext) -> None:
    """Cut a manager host off from all other hosts; it still serves clients on its side."""
    host = context.any_host()
    host.disconnect()
    try:
        await context.wait_duration()
    finally:
        host.reconnect(context.system.hosts)


async def cut_sending(context: FaultContext) -> None:
    """Drop all packets that a host sends to the others; it still receives theirs."""
    host = context.any_host()
    host.block_sending(context.system.hosts)
    try:
        await context.wait_duration()
    finally:
        host.reconnect(context.system.hosts)


async def cut_receiving(context: FaultContext) -> None:
    """Drop all packets that the others send to a host; they still receive its own."""
    host = context.any_host()
    others = [other for other in context.system.hosts if other is not host]
    for other in others:
        other.block_sending([host])
    try:
        await context.wait_duration()
    finally:
        for other in others:
            other.reconnect([host])


async def reset_connections(context: FaultContext) -> None:
    """Reset one in twenty TCP connections per second: of clients, managers, agents, and between Redis servers."""
    loop = asyncio.get_running_loop()
    end = loop.time() + context.duration_seconds
    number = 0
    while loop.time() < end:
        for host in context.system.hosts:
            number += await asyncio.to_thread(host.reset_connections, _RESET_SHARE, context.rng)
        await asyncio.sleep(1.0)
    context.targets.append(f"{number} connections")
    assert number or context.duration_seconds < 1, (
        "`ss --kill` closed nothing: does this kernel have CONFIG_INET_DIAG_DESTROY?"
    )
