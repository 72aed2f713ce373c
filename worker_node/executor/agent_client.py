"""Queries of a running job about its own record, which the agent answers."""

import socket
from _thread import allocate_lock
from typing import Any

from worker_node.ipc.frame_receiver import FrameReceiver
from worker_node.ipc.frame_sender import FrameSender
from worker_node.ipc.frames import FrameWriter
from worker_node.ipc.protocol import Query


class AgentClient:
    """RPC client of an executor: sends a running job's queries about its own record to the agent, one at a time.

    A job can be interrupted while it waits for an answer, by its own alarm for example. The answer to that query is
    skipped when it arrives.
    """

    def __init__(self, connection: socket.socket, key: bytes) -> None:
        self._connection = connection
        self._key = key
        self._streams: tuple[FrameSender, FrameReceiver, FrameWriter] | None = None  # Hardly any job has a query.
        self._frame = b""
        self._number = 0
        self._lock = allocate_lock()  # The module `threading` would run code of its own in each fork.

    def fileno(self) -> int:
        """Return the descriptor of the connection."""
        return self._connection.fileno()

    def query(self, sequence: int, operation: str, field: str, value: bytes) -> Any:
        """Send a query about the job of task `sequence` and wait for the answer.

        Raises:
            RuntimeError: the agent refused (the job is no longer running, or Redis is unavailable), or has ended.
        """
        with self._lock:
            if self._streams is None:
                connection = self._connection
                self._streams = FrameSender(connection), FrameReceiver(connection), FrameWriter(self._key)
            sender, receiver, frames = self._streams
            sender.finish(self._frame)
            self._number += 1
            self._frame = frames.pack(Query(self._number, sequence, operation, field, value))
            sender.finish(self._frame)
            while (answer := receiver.read()) is not None and answer[0] != self._number:
                continue
        if answer is None:
            raise RuntimeError("the job's record cannot be reached: the worker's agent has ended")
        _, ok, content = answer
        if not ok:
            raise RuntimeError(content)
        return content
