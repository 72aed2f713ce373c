"""The agent's non-blocking transport of frames."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.unit.worker_node.ipc.conftest import SocketPair
from tests.waiting import until_async
from worker_node.ipc.channel import MAX_READS, READ_BYTES, Channel
from worker_node.ipc.frame_receiver import FrameReceiver
from worker_node.ipc.frames import FIRST_KEY, FrameWriter
from worker_node.ipc.protocol import pack

MAX_BYTES = 3_000_000
_pack = FrameWriter(FIRST_KEY).pack


async def test_a_channel_reads_partial_frames_and_sends_more_than_the_socket_holds(sockets: SocketPair) -> None:
    agent, executor = sockets
    frames: list[bytes | None] = []
    channel = Channel(agent, MAX_BYTES, frames.extend)
    data = _pack(b"x" * 2_000_000)
    for start in range(0, len(data), 700_000):
        await asyncio.to_thread(executor.sendall, data[start : start + 700_000])

    async def received() -> bool:
        return len(frames) == 1

    await until_async(received)
    assert frames[0] is not None
    assert frames[0].endswith(b"x" * 2_000_000)
    channel.send(pack([b"x" * 2_000_000]))
    channel.send(pack([1]))
    receiver = FrameReceiver(executor)
    assert await asyncio.to_thread(receiver.read) == [b"x" * 2_000_000]
    assert await asyncio.to_thread(receiver.read) == [1]
    channel.close()


async def test_everything_that_has_arrived_can_be_read_at_once(sockets: SocketPair) -> None:
    agent, executor = sockets
    received: list[Sequence[bytes | None]] = []
    channel = Channel(agent, MAX_BYTES, received.append)
    executor.sendall(_pack(1) + _pack(2) + _pack(3)[:-1])
    channel.read_available()
    assert received == [[b"\x01", b"\x02"]]
    channel.close()
    channel.close()


async def test_frames_stay_in_the_socket_while_reading_is_deferred(sockets: SocketPair) -> None:
    agent, executor = sockets
    loop = asyncio.get_running_loop()
    received_at: list[float] = []
    channel = Channel(agent, MAX_BYTES, lambda frames: received_at.extend([loop.time()] * len(frames)))
    until = loop.time() + 0.1
    channel.defer_until(until)
    executor.sendall(_pack(1) + _pack(2))

    async def received(count: int) -> bool:
        return len(received_at) == count

    await until_async(lambda: received(2))
    assert min(received_at) >= until - 0.001  # The loop's timers have the resolution of its clock.
    executor.sendall(_pack(3))
    await until_async(lambda: received(3), wanted="a frame sent after the deferral")
    channel.defer_until(loop.time() + 60)
    assert channel.is_deferred
    executor.sendall(_pack(4))
    channel.read_available()
    assert len(received_at) == 4
    channel.defer_until(loop.time() + 0.05)
    assert channel.is_deferred
    executor.sendall(_pack(5))
    await until_async(lambda: received(5), wanted="a frame sent in a deferral whose end was moved")
    assert not channel.is_deferred
    channel.defer_until(loop.time() + 0.01)
    channel.close()
    await asyncio.sleep(0.02)  # A deferral that did not end with `close` would raise on the closed socket.


async def test_a_flood_keeps_the_event_loop_only_for_a_bounded_time(sockets: SocketPair) -> None:
    agent, executor = sockets
    received = 0

    def flood_on(frames: Sequence[bytes | None]) -> None:
        """Write as much as the agent has read, as a job in a process of its own can."""
        nonlocal received
        received += len(frames)
        if received < 100 * MAX_READS:
            executor.send(_pack(b"x" * 1000))

    channel = Channel(agent, MAX_BYTES, flood_on)
    executor.send(_pack(b"x" * 1000))
    channel.read_available()
    assert 0 < received <= MAX_READS * READ_BYTES / 1000
    assert received == MAX_READS
    channel.close()


async def test_the_end_of_the_stream_ends_the_reading(sockets: SocketPair) -> None:
    agent, executor = sockets
    received: list[bytes | None] = []
    channel = Channel(agent, MAX_BYTES, received.extend)
    executor.sendall(_pack(1))
    executor.close()
    channel.read_available()
    channel.read_available()
    channel.defer_until(0)
    assert (received, channel.is_deferred) == ([b"\x01"], False)
    channel.close()


@pytest.mark.parametrize("shut", [True, False], ids=["shut down", "closed"])
async def test_sending_to_an_executor_that_is_gone_raises_nothing(sockets: SocketPair, shut: bool) -> None:
    agent, executor = sockets
    channel = Channel(agent, MAX_BYTES, lambda frames: None)
    if shut:
        executor.shutdown(2)
    else:
        executor.close()
    channel.send(pack([1]))
    channel.close()
