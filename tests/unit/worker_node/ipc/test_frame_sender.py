"""The blocking sender of an executor: frames leave whole and in order, whatever interrupts it."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from tests.unit.worker_node.ipc.conftest import SocketPair
from worker_node.ipc.frame_sender import FrameSender


@pytest.fixture
def alarms() -> Iterator[None]:
    """A handler that raises within the sender's code, at intervals of a fraction of a millisecond."""
    before = signal.getsignal(signal.SIGALRM)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code in (FrameSender.send.__code__, FrameSender.finish.__code__):
            raise TimeoutError("left behind by a job")

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0003)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def _read(connection: socket.socket, size: int, into: bytearray) -> None:
    while len(into) < size:
        into += connection.recv(4096)


def test_frames_arrive_whole_and_once_although_alarms_interrupt_the_sender(sockets: SocketPair, alarms: None) -> None:
    received, sender = bytearray(), FrameSender(sockets[1])
    frames = [b"%07d" % number + b"x" * (number % 60_000) for number in range(0, 3_000_000, 9973)]
    reader = threading.Thread(target=_read, args=(sockets[0], sum(map(len, frames)), received), daemon=True)
    reader.start()
    interruptions = 0
    for frame in frames:
        send = sender.send
        while True:
            try:
                send(frame)
                break
            except TimeoutError:
                interruptions += 1
                send = sender.finish
    signal.setitimer(signal.ITIMER_REAL, 0)
    reader.join(20)
    assert interruptions > 10
    assert bytes(received) == b"".join(frames)


def test_a_socket_that_a_job_has_made_non_blocking_is_waited_for(sockets: SocketPair) -> None:
    received, sender = bytearray(), FrameSender(sockets[1])
    os.set_blocking(sockets[1].fileno(), False)
    frame = b"x" * 3_000_000
    reader = threading.Thread(target=_read, args=(sockets[0], 2 * len(frame), received), daemon=True)
    reader.start()
    sender.send(frame)
    os.set_blocking(sockets[1].fileno(), False)
    sender.send(frame)
    reader.join(20)
    assert bytes(received) == 2 * frame
