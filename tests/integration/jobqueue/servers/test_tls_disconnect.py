"""A TLS connection that is given up is closed at once, although the silent server never says goodbye."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from jobqueue.servers.connection_pool import ServerPool, ServerUnreachable
from jobqueue.servers.url import parse_redis_url
from tests.tls_redis import make_certificates

END_SECONDS = 20.0
"""Less than the 30 s for which asyncio leaves a connection open whose other side does not say goodbye."""


class SilentServer:
    """Shakes hands, and answers nothing; `ended` is set once the other side has closed the TCP connection."""

    def __init__(self, directory: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(directory / "server.pem", directory / "server.key")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        wire, _ = self._listening.accept()
        self._listening.close()
        with self._context.wrap_socket(wire, server_side=True) as secured:
            # Beneath TLS, whose goodbye is not what is waited for.
            with socket.socket(fileno=os.dup(secured.fileno())) as beneath:
                beneath.settimeout(END_SECONDS)
                try:
                    while beneath.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
                except TimeoutError:
                    return
            self.ended.set()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_tls_connection_without_an_answer_is_closed_at_once(
    tmp_path: Path, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    make_certificates(tmp_path)
    server = SilentServer(tmp_path)
    server.thread.start()
    address = parse_redis_url(f"rediss://127.0.0.1:{server.port}?ssl_ca_certs={tmp_path / 'ca.pem'}")

    async def give_up() -> None:
        node = ServerPool("127.0.0.1", server.port, address.connect)
        with pytest.raises(ServerUnreachable, match="no answer"):
            await node.execute(("PING",), timeout_seconds=2.0)
        # The loop goes on, as in a program: what closes does so behind the caller's back.
        assert await asyncio.to_thread(server.ended.wait, END_SECONDS)
        await node.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(give_up())
    server.thread.join()
