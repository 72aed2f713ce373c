"""A simulated EC2 instance metadata service (IMDSv2).

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
"""

import json
import secrets
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS = "169.254.169.254"
MAX_TOKEN_SECONDS = 21_600


class MetadataService:
    """Serves a tree of texts in threads of this process, on the network of the thread that creates it.

    Args:
        tree: text by path, such as `meta-data/instance-id`. A path that is not a leaf lists its children.
        token_required: whether requests without a token (IMDSv1) are refused.

    Attributes:
        delay_seconds: how long the next answer takes. Queries that are too many are throttled, it is not said for how
            long: "Query throttling" of
            https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
        is_silent: each connection is closed without an answer.
    """

    def __init__(
        self, tree: Mapping[str, str], host: str = ADDRESS, port: int = 80, *, token_required: bool = True
    ) -> None:
        self.tree = dict(tree)
        self.delay_seconds, self.is_silent = 0.0, False
        self._server = _Server((host, port), self, token_required)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def announce_interruption(self, seconds: float) -> None:
        """Publish a spot interruption notice that ends the instance in this time."""
        end = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.tree["meta-data/spot/instance-action"] = json.dumps({"action": "terminate", "time": end})
        self.tree["meta-data/spot/termination-time"] = end

    def recommend_rebalance(self) -> None:
        """Publish a rebalance recommendation: the instance has an elevated risk of interruption."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.tree["meta-data/events/recommendations/rebalance"] = json.dumps({"noticeTime": now})

    def revoke_tokens(self) -> None:
        """Refuse all tokens issued so far."""
        self._server.token_expiries.clear()

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], service: MetadataService, token_required: bool) -> None:
        self.service = service
        self.token_required = token_required
        self.token_expiries: dict[str, float] = {}
        super().__init__(address, _Request)


class _Request(BaseHTTPRequestHandler):
    server: _Server

    def parse_request(self) -> bool:
        seconds, self.server.service.delay_seconds = self.server.service.delay_seconds, 0.0
        time.sleep(seconds)
        return not self.server.service.is_silent and super().parse_request()

    def do_PUT(self) -> None:
        if self.path != "/latest/api/token":
            return self._answer(HTTPStatus.NOT_FOUND)
        if "X-Forwarded-For" in self.headers:
            return self._answer(HTTPStatus.FORBIDDEN)
        lifetime = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not lifetime.isdecimal() or not 1 <= int(lifetime) <= MAX_TOKEN_SECONDS:
            return self._answer(HTTPStatus.BAD_REQUEST)
        token = secrets.token_urlsafe(32)
        self.server.token_expiries[token] = time.monotonic() + int(lifetime)
        return self._answer(HTTPStatus.OK, token)

    def do_GET(self) -> None:
        token = self.headers.get("X-aws-ec2-metadata-token")
        if token is None and self.server.token_required:
            return self._answer(HTTPStatus.UNAUTHORIZED)
        if token is not None and self.server.token_expiries.get(token, 0.0) < time.monotonic():
            return self._answer(HTTPStatus.UNAUTHORIZED)
        text = _look_up(dict(self.server.service.tree), self.path.removeprefix("/latest/").strip("/"))
        return self._answer(HTTPStatus.NOT_FOUND) if text is None else self._answer(HTTPStatus.OK, text)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self, status: HTTPStatus, text: str = "") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _look_up(tree: Mapping[str, str], path: str) -> str | None:
    if path in tree:
        return tree[path]
    beneath = {leaf.removeprefix(f"{path}/") for leaf in tree if leaf.startswith(f"{path}/")}
    return "\n".join(sorted({name.partition("/")[0] + "/" * ("/" in name) for name in beneath})) or None
