"""An issuer of tokens: it signs them, and serves its discovery document and its keys over HTTP."""

import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet

AUDIENCE = "jobs"
DISCOVERY_PATH, KEYS_PATH = "/.well-known/openid-configuration", "/keys"


class TokenIssuer:
    """The issuer. Use it in a `with` statement; then it listens on a port of its own.

    Attributes:
        documents: what it answers, by path: a status and a body.
        requests: the paths that it was asked for.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.documents: dict[str, tuple[int, bytes]] = {}
        self._port = 0
        self._keys = 0
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> "TokenIssuer":
        self.listen()
        self.serve(DISCOVERY_PATH, {"issuer": self.url, "jwks_uri": f"{self.url}{KEYS_PATH}"})
        self.rotate()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    @property
    def url(self) -> str:
        """Its name, and where it is."""
        return f"http://127.0.0.1:{self._port}"

    def listen(self) -> None:
        """Listen; after a pause, on the same port as before."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(b"")

            def do_POST(self) -> None:
                self.answer(self.rfile.read(int(self.headers["Content-Length"])))

            def answer(self, content: bytes) -> None:
                issuer.requests.append(self.path)
                status, body, location = issuer.answer(self.path, content, self.headers["Authorization"])
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, path: str, content: bytes, authorization: str | None) -> tuple[int, bytes, str]:
        """Return the status and the body of an answer, and where it redirects to."""
        status, body = self.documents.get(path, (404, b""))
        return status, body, KEYS_PATH if status == 302 else ""

    def leave(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def serve(self, path: str, document: object, status: int = 200) -> None:
        """Answer with this JSON document, or with these bytes."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.documents[path] = status, body

    def rotate(self) -> None:
        """Sign with a new key from now on, and withdraw the one before."""
        self._keys += 1
        self.key = ECKey.generate_key("P-256", {"kid": f"key-{self._keys}", "use": "sig", "alg": "ES256"})
        self.serve(KEYS_PATH, KeySet([self.key]).as_dict())

    def token(self, scope: str = "jobs:read", *, kid: str | None = None, **claims: Any) -> str:
        """Return a token for five minutes. A claim that is None is left out."""
        return sign(self.key, self.url, {"scope": scope} | claims, kid=kid)


def sign(
    key: Key,
    issuer: str,
    claims: Mapping[str, Any],
    *,
    kid: str | None = None,
    algorithm: str = "ES256",
    now: float | None = None,
) -> str:
    """Return a token of alice's for `AUDIENCE`, valid for five minutes. A claim that is None is left out."""
    now = time.time() if now is None else now
    usual = {"iss": issuer, "aud": AUDIENCE, "sub": "alice", "iat": int(now), "exp": int(now) + 300}
    given = {name: value for name, value in (usual | dict(claims)).items() if value is not None}
    return jwt.encode({"alg": algorithm, "kid": kid or key.kid}, given, key, algorithms=[algorithm])
