"""A scripted HTTP server in place of a manager, for answers that no healthy manager gives."""

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """A request that arrived."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the script.

    Attributes:
        lost: read the request, then close the connection without an answer.
        late_seconds: how long the answer takes.
    """

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False
    late_seconds: float = 0.0


LOST = Answer(lost=True)


class ScriptedManager:
    """Gives its answers in order, and the last one again and again; or those of `routes`. With `tls`, over https."""

    def __init__(
        self,
        *answers: Answer,
        tls: ssl.SSLContext | None = None,
        routes: Callable[[Request], Answer] | None = None,
    ) -> None:
        self.requests: list[Request] = []
        remaining = list(answers or [Answer()])
        requests = self.requests
        self.arrived = arrived = threading.Event()
        self._over = over = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                address = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                params = dict(parse_qsl(address.query, keep_blank_values=True))
                request = Request(self.command, address.path, params, dict(self.headers), body)
                requests.append(request)
                arrived.set()
                if routes is not None:
                    answer = routes(request)
                else:
                    answer = remaining.pop(0) if len(remaining) > 1 else remaining[0]
                if answer.lost or over.wait(answer.late_seconds):
                    return
                text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815  # the names that http.server calls

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
