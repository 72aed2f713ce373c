"""A pair of connected sockets."""

import socket
from collections.abc import Iterator

import pytest

SocketPair = tuple[socket.socket, socket.socket]


@pytest.fixture
def sockets() -> Iterator[SocketPair]:
    """The agent's end and the executor's."""
    agent, executor = socket.socketpair()
    yield agent, executor
    agent.close()
    executor.close()
