"""Read an answer within bounds: its body's first bytes, its first headers, one layer of compression."""

import codecs
import zlib
from collections.abc import Iterable
from typing import NamedTuple

import httpx

MAX_BODY_BYTES = 128 * 1024
"""How much of a body is kept: JSON can take six bytes for one, and the maximum for a job's result is 1 MiB."""

MAX_HEADER_CHARS = 32 * 1024
"""How much of the headers is kept, for the same reason."""

_WINDOW_BITS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""zlib's parameter for each content encoding; some services send `deflate` without its header."""
_NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})
"""Python's codecs that decode to text and are no charsets. The first two take minutes for a large body."""


class Answer(NamedTuple):
    """An answer. Whatever is wrong with its body or headers, the service is not asked again for it.

    Attributes:
        truncated: whether there was more of the body or of the headers.
        decoding_error: why the body could not be decompressed, and is as it came; '' if nothing is wrong.
    """

    status: int
    headers: dict[str, str]
    body: str
    truncated: bool
    decoding_error: str
    response: httpx.Response


def read_answer(response: httpx.Response) -> Answer:
    """Read a response of httpx. It is closed then.

    Raises:
        httpx.HTTPError: the connection broke before the end of the body, and the status does not say it all.
    """
    content = bytearray()
    try:
        for chunk in response.iter_raw():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                break
    except httpx.HTTPError:
        if response.status_code < 400:
            raise
    finally:
        response.close()
    raw, cut = bytes(content[:MAX_BODY_BYTES]), len(content) > MAX_BODY_BYTES
    body, more, decoding_error = _decompress(raw, response.headers.get("content-encoding", ""), complete=not cut)
    headers, headers_cut = _first_headers(response.headers.items())
    text = body.decode(_charset(response), "replace")
    return Answer(response.status_code, headers, text, cut or more or headers_cut, decoding_error, response)


def _decompress(raw: bytes, encodings: str, *, complete: bool) -> tuple[bytes, bool, str]:
    """Undo a content encoding. Return the content, whether there is more of it, and what is wrong ('' for nothing)."""
    names = [name for part in encodings.lower().split(",") if (name := part.strip()) not in ("", "identity")]
    if not names or not raw:
        return raw, False, ""
    error = "only gzip and deflate are supported" if len(names) == 1 else "only one encoding is undone"
    for window_bits in _WINDOW_BITS.get(names[0], ()) if len(names) == 1 else ():
        decompressor = zlib.decompressobj(window_bits)
        try:
            content = decompressor.decompress(raw, MAX_BODY_BYTES + 1)
        except zlib.error as problem:
            error = str(problem)
            continue
        more = len(content) > MAX_BODY_BYTES
        broken = complete and not more and not decompressor.eof
        return content[:MAX_BODY_BYTES], more, "the compressed body is incomplete" if broken else ""
    return raw, False, f"content encoding {encodings[:100]!r}: {error}"


def _charset(response: httpx.Response) -> str:
    """Return the charset that an answer names, or else UTF-8."""
    try:
        charset = codecs.lookup(response.charset_encoding or "utf-8")
        b"aaaa".decode(charset.name)  # Refuses the codecs that do not make text, such as base64.
    except Exception:  # noqa: BLE001 - codecs refuse odd names with errors of many types
        return "utf-8"
    return "utf-8" if charset.name in _NO_CHARSETS else charset.name


def _first_headers(items: Iterable[tuple[str, str]]) -> tuple[dict[str, str], bool]:
    """Return the headers up to `MAX_HEADER_CHARS`, and whether some are left out."""
    headers: dict[str, str] = {}
    size = 0
    for name, value in items:
        size += len(name) + len(value)
        if size > MAX_HEADER_CHARS:
            return headers, True
        headers[name] = value
    return headers, False
