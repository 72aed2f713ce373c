"""The instance metadata service (IMDSv2) as an instance sees it: `python -m tests.ec2.metadata_service FILE [ADDRESS]`.

FILE holds JSON and is read anew for each request:
    {"tokens": "required" | "optional", "tree": {"meta-data/instance-id": "i-…", "user-data": "#!…", …}}
A value that is no string is sent as JSON. A path that is no leaf lists what lies beneath it.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ADDRESS = "169.254.169.254"
MAX_TOKEN_SECONDS = 21_600


class MetadataService(ThreadingHTTPServer):
    """Answers from a file, on port 80 of `host` unless another is given."""

    daemon_threads = True

    def __init__(self, file: Path, host: str = ADDRESS, port: int = 80) -> None:
        self.file = file
        self.token_ends: dict[str, float] = {}
        super().__init__((host, port), _Request)


class _Request(BaseHTTPRequestHandler):
    server: MetadataService

    def do_PUT(self) -> None:  # the name that http.server calls
        if self.path != "/latest/api/token":
            return self._answer(HTTPStatus.NOT_FOUND)
        if "X-Forwarded-For" in self.headers:
            return self._answer(HTTPStatus.FORBIDDEN)
        lifetime = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not lifetime.isdecimal() or not 1 <= int(lifetime) <= MAX_TOKEN_SECONDS:
            return self._answer(HTTPStatus.BAD_REQUEST)
        token = secrets.token_urlsafe(32)
        self.server.token_ends[token] = time.monotonic() + int(lifetime)
        return self._answer(HTTPStatus.OK, token)

    def do_GET(self) -> None:  # the name that http.server calls
        document = json.loads(self.server.file.read_text())
        token = self.headers.get("X-aws-ec2-metadata-token")
        if token is None and document["tokens"] == "required":
            return self._answer(HTTPStatus.UNAUTHORIZED)
        if token is not None and self.server.token_ends.get(token, 0.0) < time.monotonic():
            return self._answer(HTTPStatus.UNAUTHORIZED)
        content = _look_up(document["tree"], self.path.removeprefix("/latest/").strip("/"))
        return self._answer(HTTPStatus.NOT_FOUND) if content is None else self._answer(HTTPStatus.OK, content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _answer(self, status: HTTPStatus, text: str = "") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _look_up(tree: Mapping[str, Any], path: str) -> str | None:
    if path in tree:
        value = tree[path]
        return value if isinstance(value, str) else json.dumps(value)
    beneath = {leaf.removeprefix(f"{path}/") for leaf in tree if leaf.startswith(f"{path}/")}
    return "\n".join(sorted({name.partition("/")[0] + "/" * ("/" in name) for name in beneath})) or None


if __name__ == "__main__":
    MetadataService(Path(sys.argv[1]), *sys.argv[2:3]).serve_forever()
