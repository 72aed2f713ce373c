"""A receiver of callbacks: keeps what it gets, answers as a test says, can be stopped and started again."""

import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import orjson
from standardwebhooks.webhooks import Webhook

from tests.waiting import until

SECRET = "whsec_" + b64encode(b"of the tests, 32 bytes in length").decode()
OLD_SECRET = "whsec_" + b64encode(b"the one before, and as long as it").decode()


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        return orjson.loads(self.body)

    def verified(self, secret: str = SECRET) -> Any:
        """Return the event as a receiver's library does; it raises if the signature is wrong."""
        return Webhook(secret).verify(self.body, dict(self.headers))


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = 204
    headers: Mapping[str, str] | None = None
    body: bytes = b""


class Receiver:
    """A server.

    Args:
        answer: gives the reply to each request.
    """

    def __init__(
        self, answer: Callable[[Received], Reply] = lambda _: Reply(), port: int = 0, address: str = "127.0.0.1"
    ) -> None:
        self.answer = answer
        self.requests: list[Received] = []
        self.address = address
        self.port = port
        self.start()

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}/in"

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    def start(self) -> None:
        """Start to serve, again on the same port after `stop`."""
        receiver, self.is_stopped = self, False

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): ", ".join(self.headers.get_all(name, ())) for name in self.headers}
                received = Received(self.path, headers, body, self.command)
                try:
                    reply = receiver.answer(received)
                finally:
                    receiver.requests.append(received)
                self.send_response(reply.status)
                for name, value in (reply.headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 64
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Senders may break off."""

        self._server = Server((self.address, self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Serve no more: connections are refused."""
        self.is_stopped = True
        self._server.shutdown()
        self._server.server_close()

    def wait(self, count: int = 1) -> list[Received]:
        """Return the first requests, as soon as there are so many."""
        until(lambda: len(self.requests) >= count, wanted=f"{count} callbacks")
        return self.requests[:count]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
