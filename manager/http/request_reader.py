"""Read requests from the bytes of a connection, with httptools' parser, and with limits on everything that is kept.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import re
from typing import Protocol

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from manager.http.asgi import FIELDS, Scope
from manager.http.problems import FIELDS_TOO_LARGE, NOT_HTTP, NOT_IMPLEMENTED, TARGET_TOO_LONG, WRONG_VERSION, Problem
from manager.http.request_head import (
    check_authority,
    check_transfer_encoding,
    check_version,
    expects_continue,
    read_fields,
    split_target,
)

MAX_HEAD_BYTES = 64 * 1024
"""Limit of what comes before a body; also of a body's chunk extensions and trailers in all, which are not kept.

What else is in the first or the last packet of a body may count as its extensions, as the parser tells no places."""
MAX_TARGET_BYTES = 16 * 1024
MAX_FIELDS = 256
MAX_SHOWN_BYTES = 256
"""So much of a wrong request's path is shown in the log and in the response."""

_NEEDS_ATTENTION = frozenset({b"expect", b"transfer-encoding", b"upgrade"})
_UNKNOWN_METHOD = re.compile(
    rb"(?:\r\n)*(?!(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) )"
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~]+ HTTP/[0-9]\.[0-9]\r\n"
)


class Body(Protocol):
    """Receives the body of a request."""

    def add_body(self, piece: bytes) -> None: ...
    def end_body(self) -> None: ...


class Owner(Protocol):
    """Gets the requests."""

    def begin_request(self, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> Body:
        """Take a request whose head is complete, and return what receives its body."""


class RequestReader:
    """Reads one request after another.

    Args:
        owner: gets the requests.
        base: the part of ASGI's scope that all requests of the connection have in common.
        root_path: the path prefix that a proxy may have left in front of the path; '' for none.

    Attributes:
        in_head: whether the next byte belongs to the head of a request, rather than to a body.
        head_bytes: about how many bytes of that head there are; 0 before its first byte.
    """

    def __init__(self, owner: Owner, base: Scope, root_path: str) -> None:
        self.in_head = True
        self.head_bytes = 0
        self._owner = owner
        self._base = base
        self._root_path = root_path
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: Body | None = None
        self._framing_bytes_left: int | None = None
        self._chunk_bytes = 0
        self._parser = self._new_parser()

    def feed(self, data: bytes | memoryview) -> None:
        """Read some bytes.

        Raises:
            Problem: this and all that follows cannot be read.
        """
        body_before = None
        if self.in_head:
            self.head_bytes += len(data)
        elif self._framing_bytes_left is not None:
            # What of it is the body comes back, so it is below zero at the end of a body that had too much beside it.
            self._framing_bytes_left -= len(data)
            body_before = self._body
        self._parse(data)
        if self.in_head:
            if self.head_bytes > MAX_HEAD_BYTES or len(self._headers) > MAX_FIELDS:
                raise _fields_too_large()
        elif self._framing_bytes_left is not None:
            if self._body is not body_before:
                self._framing_bytes_left -= len(data)
            self._check_framing()

    def close(self) -> None:
        """Break the cycle of references with the parser."""
        del self._parser

    def describe(self) -> tuple[str, bytes]:
        """Return the method and the target of a request whose head is wrong, as far as they are known."""
        if not self._url:
            return "-", b"-"
        return self._parser.get_method().decode("ascii"), self._url.partition(b"?")[0][:MAX_SHOWN_BYTES]

    # The rest are the parser's callbacks. A Problem that one raises ends up in `feed`.

    def on_message_begin(self) -> None:
        self.head_bytes += 1  # A new head has begun, even if it did in the middle of a packet.
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > MAX_TARGET_BYTES:
            raise Problem(TARGET_TOO_LONG, f"the URL must not exceed {MAX_TARGET_BYTES} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:  # not a trailer
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, headers = self._parser, self._headers
        version, method = parser.get_http_version(), parser.get_method().decode("ascii")
        if version != "1.1":
            check_version(version)
        if len(headers) > MAX_FIELDS or (self.head_bytes > MAX_HEAD_BYTES and self._is_head_too_large()):
            raise _fields_too_large()
        fields = read_fields(headers)
        if self._url[0] != _SLASH:
            _check_unusual_target(method, self._url)
        target = split_target(self._url)
        if (host := fields.get(b"host")) is not None:
            check_authority(host)
        elif version != "1.0":
            raise Problem(NOT_HTTP, "the request has no Host")
        if target.authority is not None:
            fields[b"host"] = target.authority
        waits = False
        if not _NEEDS_ATTENTION.isdisjoint(fields):
            if b"upgrade" in fields and parser.should_upgrade():
                return
            if b"expect" in fields:
                waits = expects_continue(fields[b"expect"], version)
            if b"transfer-encoding" in fields:
                check_transfer_encoding(fields[b"transfer-encoding"], version)
                self._framing_bytes_left = MAX_HEAD_BYTES
        path = target.path
        if self._root_path and f"{path}/".startswith(f"{self._root_path}/"):
            path = path.removeprefix(self._root_path) or "/"
        scope = {
            **self._base,
            "http_version": version,
            "method": method,
            "path": path,
            "raw_path": target.raw_path,
            "query_string": target.query,
            "headers": headers,
            FIELDS: fields,
        }
        keep_alive = version != "1.0" and parser.should_keep_alive()
        self._body = self._owner.begin_request(scope, keep_alive=keep_alive, expects_continue=waits)
        self.in_head = False

    def on_body(self, body: bytes) -> None:
        if self._framing_bytes_left is not None:
            self._framing_bytes_left += len(body)
            self._chunk_bytes += len(body)
        assert self._body is not None, "a body follows a head"
        self._body.add_body(body)

    def on_chunk_complete(self) -> None:
        if self._framing_bytes_left is not None:
            self._framing_bytes_left += len(b"%x\r\n\r\n" % self._chunk_bytes)
            self._chunk_bytes = 0

    def on_message_complete(self) -> None:
        if self.in_head:
            return  # The parser has stopped at the offer of another protocol.
        if self._framing_bytes_left is not None:
            self._check_framing()
            self._framing_bytes_left = None
        self.in_head = True
        self.head_bytes = 0
        body, self._body = self._body, None
        assert body is not None, "a body follows a head"
        body.end_body()

    def _parse(self, data: bytes | memoryview) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as offer:
            end_of_head: int = offer.args[0]
        except HttpParserError as error:
            raise _problem_of(error, data) from error
        else:
            return
        # The parser takes what follows for the other protocol. But the client must not use it before the server agrees
        # (RFC 9110, 7.8). So the head is parsed again without the offer.
        head = self._head_without_offer()
        self._parser = self._new_parser()
        self._parse(head)
        self._parse(data[end_of_head:])

    def _head_without_offer(self) -> bytes:
        method, version = self._parser.get_method(), self._parser.get_http_version()
        lines = [b"%b %b HTTP/%b" % (method, self._url, version.encode())]
        lines += [b"%b: %b" % (name, value) for name, value in self._headers if name != b"upgrade"]
        return b"\r\n".join((*lines, b"\r\n"))

    def _check_framing(self) -> None:
        assert self._framing_bytes_left is not None, "the body is chunked"
        if self._framing_bytes_left < 0:
            raise Problem(FIELDS_TOO_LARGE, f"chunk extensions and trailers must not exceed {MAX_HEAD_BYTES} bytes")

    def _is_head_too_large(self) -> bool:
        """Whether the head itself is, without what has arrived behind it."""
        return len(self._url) + sum(len(name) + len(value) for name, value in self._headers) > MAX_HEAD_BYTES

    def _new_parser(self) -> HttpRequestParser:
        parser = HttpRequestParser(self)
        # `check_version` judges versions, and what follows a last request is ignored.
        parser.set_dangerous_leniencies(lenient_version=True, lenient_data_after_close=True)
        return parser


_SLASH = ord("/")


def _check_unusual_target(method: str, url: bytes) -> None:
    if method == "CONNECT":
        raise Problem(NOT_IMPLEMENTED, "this server is not a proxy")
    if url == b"*" and method != "OPTIONS":
        raise Problem(NOT_HTTP, f"the target * is only for OPTIONS, not for {method}")


def _fields_too_large() -> Problem:
    return Problem(
        FIELDS_TOO_LARGE, f"URL and header fields must not exceed {MAX_HEAD_BYTES} bytes and {MAX_FIELDS} fields"
    )


def _problem_of(error: HttpParserError, data: bytes | memoryview) -> Problem:
    """Return the problem for an error of the parser, or of a callback."""
    if isinstance(error, HttpParserCallbackError) and isinstance(error.__context__, Problem):
        return error.__context__
    reason = str(error)
    if "PRI" in reason:
        return Problem(WRONG_VERSION, "this server speaks HTTP/1.1, not HTTP/2")
    if isinstance(error, HttpParserInvalidMethodError) and _UNKNOWN_METHOD.match(data):
        return Problem(NOT_IMPLEMENTED, "the request's method is not known")
    return Problem(NOT_HTTP, f"the request is not valid HTTP: {reason}")
