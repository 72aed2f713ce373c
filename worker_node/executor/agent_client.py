"""Queries of a running job about its own record, which the agent answers."""

import socket
import threading
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
        self._sender = FrameSender(connection)
        self._receiver = FrameReceiver(connection)
        self._frames = FrameWriter(key)
        self._frame = b""
        self._number = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def query(self, sequence: int, operation: str, field: str, value: bytes) -> Any:
        """Send a query about the job of task `sequence` and wait for the answer.

        Raises:
            RuntimeError: the agent refused (the job is no longer running, or Redis is unavailable), or has ended.
        """
        with self._lock:
            self._sender.finish(self._frame)
            self._number += 1
            self._frame = self._frames.pack(Query(self._number, sequence, operation, field, value))
            self._sender.finish(self._frame)
            while (answer := self._receiver.read()) is not None and answer[0] != self._number:
                continue
        if answer is None:
            raise RuntimeError("the job's record cannot be reached: the worker's agent has ended")
        _, ok, content = answer
        if not ok:
            raise RuntimeError(content)
        return content
