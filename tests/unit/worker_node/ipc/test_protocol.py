"""Frames and the page that agent and executor share."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from tests.waiting import until_async
from worker_node.ipc.channel import Channel
from worker_node.ipc.protocol import LENGTH, MAX_FRAME_BYTES, SharedStatus, Task, pack, read_frame, unpack


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    yield left, right
    left.close()
    right.close()


@pytest.fixture
def pages() -> Iterator[tuple[SharedStatus, SharedStatus]]:
    """The agent's view of a page and the executor's."""
    agents = SharedStatus.create()
    executors = SharedStatus(os.dup(agents.fd))
    yield agents, executors
    agents.close()
    executors.close()


def test_tasks_survive_the_trip(pair: tuple[socket.socket, socket.socket]) -> None:
    tasks = [Task(1, "a", b"\x00\xff" * 300_000, True, None), Task(2, "b", b"", False, "webhooks")]
    sender = threading.Thread(target=pair[0].sendall, args=(pack(tasks),))
    sender.start()
    received = read_frame(pair[1])
    sender.join()
    assert received is not None
    assert [Task(*fields) for fields in received] == tasks


def test_the_end_of_the_stream_is_no_frame(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].sendall(pack([1])[:-1])
    pair[0].close()
    assert read_frame(pair[1]) is None


def test_a_frame_holds_a_list() -> None:
    with pytest.raises(ValueError, match="a frame holds a list, not int"):
        unpack(b"\x01")


def test_the_agent_sees_what_runs(pages: tuple[SharedStatus, SharedStatus]) -> None:
    agents, executors = pages
    assert agents.running_task(7) == (0, 0)
    executors.set_running_task(5, 1_000)
    assert (agents.running_task(7), agents.function) == ((5, 1_000), "")
    executors.set_function("größe.function".encode())
    assert agents.function == "größe.function"
    executors.set_function(b"x" * 1_000)
    assert agents.function == "x" * 200
    executors.set_running_task(6, 2_000)
    assert (agents.running_task(7), agents.function) == ((6, 2_000), "")


def test_a_half_written_beginning_counts_as_one_of_this_moment(pages: tuple[SharedStatus, SharedStatus]) -> None:
    agents, executors = pages
    executors.set_running_task(5, 1_000)
    os.pwrite(agents.fd, (6).to_bytes(8, "little"), 0)
    assert agents.running_task(9_000) == (6, 9_000)


def test_withdrawn_tasks_are_a_range(pages: tuple[SharedStatus, SharedStatus]) -> None:
    agents, executors = pages
    assert not executors.is_withdrawn(1)
    agents.withdraw(3, 5)
    assert [executors.is_withdrawn(sequence) for sequence in (3, 4, 5, 6)] == [False, True, True, False]


async def test_a_channel_takes_frames_in_pieces_and_sends_more_than_the_socket_holds(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    frames: list[bytes] = []
    channel = Channel(pair[0], frames.extend, pytest.fail)
    data = pack([b"x" * 2_000_000])
    for start in range(0, len(data), 700_000):
        await asyncio.to_thread(pair[1].sendall, data[start : start + 700_000])

    async def received() -> bool:
        return len(frames) == 1

    await until_async(received)
    assert unpack(frames[0]) == [b"x" * 2_000_000]
    channel.send(data)
    channel.send(pack([1]))
    assert await asyncio.to_thread(read_frame, pair[1]) == [b"x" * 2_000_000]
    assert await asyncio.to_thread(read_frame, pair[1]) == [1]
    channel.close()


async def test_a_channel_can_be_emptied_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    came: list[Sequence[bytes]] = []
    channel = Channel(pair[0], came.append, pytest.fail)
    pair[1].sendall(pack([1]) + pack([2]) + pack([3])[:-1])
    channel.drain()
    assert [[unpack(frame) for frame in frames] for frames in came] == [[[1], [2]]]
    channel.close()
    channel.close()


async def test_frames_gather_while_a_channel_rests(pair: tuple[socket.socket, socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    came: list[float] = []
    channel = Channel(pair[0], lambda frames: came.extend([loop.time()] * len(frames)), pytest.fail)
    until = loop.time() + 0.1
    channel.defer_until(until)
    pair[1].sendall(pack([1]) + pack([2]))

    async def received(count: int) -> bool:
        return len(came) == count

    await until_async(lambda: received(2))
    assert min(came) >= until - 0.001  # The loop's timers have the resolution of its clock.
    pair[1].sendall(pack([3]))
    await until_async(lambda: received(3), wanted="what comes after the rest")
    channel.defer_until(loop.time() + 60)
    assert channel.is_deferred
    pair[1].sendall(pack([4]))
    channel.drain()
    assert len(came) == 4
    channel.defer_until(loop.time() + 0.05)
    assert channel.is_deferred
    pair[1].sendall(pack([5]))
    await until_async(lambda: received(5), wanted="what comes in a rest whose end is another now")
    assert not channel.is_deferred
    channel.defer_until(loop.time() + 0.01)
    channel.close()
    await asyncio.sleep(0.02)  # Nothing comes of a rest that was under way: it would raise on the closed socket.


@pytest.mark.parametrize(
    "garbage", [LENGTH.pack(MAX_FRAME_BYTES + 1), LENGTH.pack(1) + b"\xc1", LENGTH.pack(1) + b"\x01"]
)
async def test_a_channel_says_once_that_it_got_garbage_and_reads_no_more(
    pair: tuple[socket.socket, socket.socket], garbage: bytes
) -> None:
    said: list[str] = []
    came: list[object] = []
    channel = Channel(pair[0], lambda frames: [came.append(unpack(frame)) for frame in frames], said.append)
    pair[1].sendall(pack([1]) + garbage + garbage)
    channel.drain()
    channel.drain()
    assert (came, len(said)) == ([[1]], 1)
    channel.close()
