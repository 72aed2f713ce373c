"""Check the head of a request as RFC 9110 and RFC 9112 ask of an origin server, beyond what the parser does.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from manager.http.problems import (
    EXPECTATION_FAILED,
    NO_SUCH_ROUTE,
    NOT_HTTP,
    NOT_IMPLEMENTED,
    WRONG_VERSION,
    Problem,
)

MAX_CACHED_TARGET_BYTES = 128
"""A longer request target (path and query) is split again each time instead of cached."""
MAX_AUTHORITY_BYTES = 300
"""More than the longest host name with a port."""

# Lists may be spread over several fields of one name; these hold one value.
_SINGLE = frozenset({b"host", b"content-type", b"content-length", b"authorization", b"origin", b"sec-fetch-site"})
_AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)([^?#]*)(?:\?([^#]*))?", re.IGNORECASE)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Target(NamedTuple):
    """The target of a request.

    Attributes:
        path: decoded.
        raw_path: as it was sent.
        query: without the question mark.
        authority: host and port of an absolute URL, which stands above the field Host; None for a mere path.
    """

    path: str
    raw_path: bytes
    query: bytes
    authority: bytes | None


def split_target(url: bytes) -> Target:
    """Split a request target whose characters the parser has checked.

    Raises:
        Problem: 400, it is neither a path, nor an absolute URL, nor `*`, or has a fragment or a broken escape; 404, its
            path is not UTF-8.
    """
    return _split(url) if len(url) > MAX_CACHED_TARGET_BYTES else _split_cached(url)


def _split(url: bytes) -> Target:
    if url.startswith(b"/"):
        raw_path, _, query = url.partition(b"?")
        authority = None
    elif absolute := _ABSOLUTE.fullmatch(url):
        authority, raw_path, query = absolute[1], absolute[2] or b"/", absolute[3] or b""
        check_authority(authority)
    elif url == b"*":
        return Target("*", url, b"", None)
    else:
        raise Problem(NOT_HTTP, "the request's target is neither a path nor a URL")
    if b"#" in url:
        raise Problem(NOT_HTTP, "the request's target contains a fragment (#)")
    if b"%" in url and _BAD_ESCAPE.search(url):
        raise Problem(NOT_HTTP, "the request's target contains a % without two hexadecimal digits")
    path = raw_path.decode("ascii")
    if "%" in path:
        try:
            path = unquote(path, errors="strict")
        except UnicodeDecodeError:
            # Replaced, it would be the path of something else.
            raise Problem(NO_SUCH_ROUTE, "the path is not UTF-8") from None
    return Target(path, raw_path, query, authority)


# Most clients repeat a few targets.
_split_cached = lru_cache(1024)(_split)


def check_version(version: str) -> None:
    """Raise a Problem (505) unless the version is 1.something."""
    if not version.startswith("1."):
        raise Problem(WRONG_VERSION, f"this server speaks HTTP/1.1, not HTTP/{version}")


def read_fields(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the fields by their lower-case name; the values of a repeated one are joined by commas.

    Raises:
        Problem: 400, a field that holds one value is repeated.
    """
    fields = dict(headers)
    if len(fields) == len(headers):
        return fields
    fields.clear()
    for name, value in headers:
        if name not in fields:
            fields[name] = value
        elif name in _SINGLE:
            raise Problem(NOT_HTTP, f"the field {name.decode('latin-1').title()} is given twice")
        else:
            fields[name] += b", " + value
    return fields


@lru_cache(256)
def check_authority(authority: bytes) -> None:
    """Raise a Problem (400) unless it is a host with an optional port."""
    if len(authority) > MAX_AUTHORITY_BYTES or not _AUTHORITY.fullmatch(authority.strip(b" \t")):
        raise Problem(NOT_HTTP, "the host of the request is not a host name or address with an optional port")


def check_transfer_encoding(value: bytes, version: str) -> None:
    """Check the encoding of a body whose end the parser can find.

    Raises:
        Problem: 501, it is not just `chunked`; 400, HTTP/1.0 does not have it.
    """
    if value.strip(b" \t").lower() != b"chunked":
        raise Problem(NOT_IMPLEMENTED, "the only Transfer-Encoding that this server can read is chunked")
    if version == "1.0":
        raise Problem(NOT_HTTP, "HTTP/1.0 has no Transfer-Encoding")


def expects_continue(value: bytes, version: str) -> bool:
    """Return whether the client waits for `100 Continue` before it sends the body; HTTP/1.0 has no such wait.

    Raises:
        Problem: 417, it expects something else.
    """
    if version == "1.0":
        return False
    if value.strip(b" \t").lower() != b"100-continue":
        raise Problem(EXPECTATION_FAILED, "the only Expect that this server can meet is 100-continue")
    return True
