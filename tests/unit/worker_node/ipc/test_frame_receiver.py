"""The blocking receiver of an executor."""

import os
import signal
import threading
from types import FrameType

from tests.unit.worker_node.ipc.conftest import SocketPair
from worker_node.ipc.frame_receiver import FrameReceiver
from worker_node.ipc.protocol import Task, pack


def test_tasks_are_the_same_after_the_transfer(sockets: SocketPair) -> None:
    tasks = [
        Task(sequence=1, job_id="a", data=b"\x00\xff" * 300_000, from_http=True),
        Task(sequence=2, job_id="b", data=b"", from_http=False),
    ]
    sender = threading.Thread(target=sockets[0].sendall, args=(pack(tasks),))
    sender.start()
    received = FrameReceiver(sockets[1]).read()
    sender.join()
    assert received is not None
    assert [Task(*fields) for fields in received] == tasks


def test_the_end_of_the_stream_is_not_a_frame(sockets: SocketPair) -> None:
    sockets[0].sendall(pack([1])[:-1])
    sockets[0].close()
    assert FrameReceiver(sockets[1]).read() is None


def test_a_socket_that_a_job_has_made_non_blocking_is_waited_for(sockets: SocketPair) -> None:
    os.set_blocking(sockets[1].fileno(), False)
    sender = threading.Timer(0.05, sockets[0].sendall, args=(pack([1]),))
    sender.start()
    assert FrameReceiver(sockets[1]).read() == [1]
    sender.join()


def test_frames_are_read_whole_although_alarms_interrupt_the_receiver(sockets: SocketPair) -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code is FrameReceiver.read.__code__:
            raise TimeoutError("left behind by a job")

    messages = [b"%07d" % number + b"x" * (number % 60_000) for number in range(0, 3_000_000, 9973)]
    data = b"".join(pack([message]) for message in messages)
    sender = threading.Thread(target=sockets[0].sendall, args=(data,), daemon=True)
    receiver, received, interruptions = FrameReceiver(sockets[1]), [], 0
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0003)
    try:
        sender.start()
        while len(received) < len(messages):
            try:
                received.append(receiver.read())
            except TimeoutError:
                interruptions += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interruptions > 3
    assert received == [[message] for message in messages]
