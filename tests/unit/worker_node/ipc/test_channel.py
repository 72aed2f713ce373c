"""The agent's non-blocking transport of frames."""

import asyncio
from collections.abc import Sequence

import pytest

from tests.unit.worker_node.ipc.conftest import SocketPair
from tests.waiting import until_async
from worker_node.ipc.channel import Channel
from worker_node.ipc.protocol import LENGTH, MAX_FRAME_BYTES, pack, read_frame, unpack


async def test_a_channel_reads_partial_frames_and_sends_more_than_the_socket_holds(sockets: SocketPair) -> None:
    agent, executor = sockets
    frames: list[bytes] = []
    channel = Channel(agent, frames.extend, pytest.fail)
    data = pack([b"x" * 2_000_000])
    for start in range(0, len(data), 700_000):
        await asyncio.to_thread(executor.sendall, data[start : start + 700_000])

    async def received() -> bool:
        return len(frames) == 1

    await until_async(received)
    assert unpack(frames[0]) == [b"x" * 2_000_000]
    channel.send(data)
    channel.send(pack([1]))
    assert await asyncio.to_thread(read_frame, executor) == [b"x" * 2_000_000]
    assert await asyncio.to_thread(read_frame, executor) == [1]
    channel.close()


async def test_drain_reads_all_frames_that_have_arrived(sockets: SocketPair) -> None:
    agent, executor = sockets
    received: list[Sequence[bytes]] = []
    channel = Channel(agent, received.append, pytest.fail)
    executor.sendall(pack([1]) + pack([2]) + pack([3])[:-1])
    channel.read_available()
    assert [[unpack(frame) for frame in frames] for frames in received] == [[[1], [2]]]
    channel.close()
    channel.close()


async def test_frames_stay_in_the_socket_while_reading_is_deferred(sockets: SocketPair) -> None:
    agent, executor = sockets
    loop = asyncio.get_running_loop()
    received_at: list[float] = []
    channel = Channel(agent, lambda frames: received_at.extend([loop.time()] * len(frames)), pytest.fail)
    until = loop.time() + 0.1
    channel.defer_until(until)
    executor.sendall(pack([1]) + pack([2]))

    async def received(count: int) -> bool:
        return len(received_at) == count

    await until_async(lambda: received(2))
    assert min(received_at) >= until - 0.001  # The loop's timers have the resolution of its clock.
    executor.sendall(pack([3]))
    await until_async(lambda: received(3), wanted="a frame sent after the deferral")
    channel.defer_until(loop.time() + 60)
    assert channel.is_deferred
    executor.sendall(pack([4]))
    channel.read_available()
    assert len(received_at) == 4
    channel.defer_until(loop.time() + 0.05)
    assert channel.is_deferred
    executor.sendall(pack([5]))
    await until_async(lambda: received(5), wanted="a frame sent in a deferral whose end was moved")
    assert not channel.is_deferred
    channel.defer_until(loop.time() + 0.01)
    channel.close()
    await asyncio.sleep(0.02)  # A deferral that did not end with `close` would raise on the closed socket.


@pytest.mark.parametrize(
    "garbage",
    [LENGTH.pack(MAX_FRAME_BYTES + 1), LENGTH.pack(1) + b"\xc1", LENGTH.pack(1) + b"\x01"],
    ids=["too long", "not msgpack", "not a list"],
)
async def test_a_channel_reports_a_protocol_error_once_and_stops_reading(sockets: SocketPair, garbage: bytes) -> None:
    agent, executor = sockets
    errors: list[str] = []
    received: list[object] = []
    channel = Channel(agent, lambda frames: [received.append(unpack(frame)) for frame in frames], errors.append)
    executor.sendall(pack([1]) + garbage + garbage)
    channel.read_available()
    channel.read_available()
    assert (received, len(errors)) == ([[1]], 1)
    channel.close()
