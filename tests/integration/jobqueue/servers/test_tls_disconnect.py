"""A TLS connection that timed out, or whose login was refused, is closed at once: the server sends no close message."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from jobqueue.servers.connection_pool import ServerPool
from jobqueue.servers.unreachable import ServerUnreachable
from jobqueue.servers.url import parse_redis_url
from tests.tls_redis import make_certificates

DISCONNECT_TIMEOUT_SECONDS = 20.0
"""Less than the 30 s that asyncio waits for the TLS close message of the other side before it disconnects."""


class SilentServer:
    """A server that completes the TLS handshake, sends one reply if any, and then nothing.

    Attributes:
        disconnected: set once the client has closed the TCP connection.
    """

    def __init__(self, directory: Path, reply: bytes) -> None:
        self._reply = reply
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(directory / "server.pem", directory / "server.key")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.disconnected = threading.Event()
        self.thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        self._listening.close()
        with self._context.wrap_socket(connection, server_side=True) as secured:
            if self._reply:
                secured.recv(4096)
                secured.sendall(self._reply)
            # Read TCP beneath TLS: the TLS close message is not the end of the connection.
            with socket.socket(fileno=os.dup(secured.fileno())) as plain:
                plain.settimeout(DISCONNECT_TIMEOUT_SECONDS)
                try:
                    while plain.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
                except TimeoutError:
                    return
            self.disconnected.set()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(
    ("user", "reply", "error"),
    [("", b"", "no reply"), ("worker:wrong@", b"-WRONGPASS invalid username-password pair\r\n", "invalid username")],
    ids=["no answer", "login refused"],
)
def test_a_tls_connection_to_a_silent_server_is_closed_at_once(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop], user: str, reply: bytes, error: str
) -> None:
    make_certificates(tmp_path)
    server = SilentServer(tmp_path, reply)
    server.thread.start()
    address = parse_redis_url(f"rediss://{user}127.0.0.1:{server.port}?ssl_ca_certs={tmp_path / 'ca.pem'}")

    async def time_out() -> None:
        pool = ServerPool("127.0.0.1", server.port, address.connect)
        with pytest.raises(ServerUnreachable, match=error):
            await pool.execute(("PING",), timeout_seconds=2.0)
        # The loop keeps running, as in a program: the connection is closed in the background.
        assert await asyncio.to_thread(server.disconnected.wait, DISCONNECT_TIMEOUT_SECONDS)
        await pool.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(time_out())
    server.thread.join()
