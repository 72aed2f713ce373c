"""Built-in job functions. They run under this worker and under RQ's own worker.

Job records name this module, so its path and the names in it must not change.
"""

import base64
import binascii
import codecs
import functools
import hashlib
import importlib
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import Any, NamedTuple, ParamSpec, TypeVar

from jobqueue.model import MAX_ITERATIONS

MAX_BODY_BYTES = 128 * 1024
"""How much of a response `http` keeps: JSON can take six bytes for one, and the maximum for a result is 1 MiB."""

MAX_HEADER_CHARS = 32 * 1024
"""How much of a response's headers `http` keeps, for the same reason."""

_MAX_TIMEOUT_SECONDS = 1_000_000_000
_WINDOW_BITS = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""zlib's parameter for each content encoding; some services send `deflate` without its header."""
_NO_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})
"""Python's codecs that decode to text and are no charsets. The first two take minutes for a large body."""
_DISCONNECTED = ("Server disconnected", "peer closed connection")
"""Beginnings of the errors that httpx raises if the connection breaks, in contrast to those about invalid HTTP."""

P = ParamSpec("P")
R = TypeVar("R")


class PermanentError(Exception):
    """Raised by a job function, also as a subclass, to fail the job at once, whatever retries it has left."""


def binary(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a job function whose keyword argument `data` is bytes.

    Job records contain the bytes as base64 text, which is decoded before the call. Bytes are passed on unchanged.

    Raises:
        ValueError: (when called) `data` is text, but not base64.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        data = kwargs.get("data")
        if isinstance(data, str):
            try:
                kwargs["data"] = base64.b64decode(data, validate=True)
            except (binascii.Error, ValueError) as error:
                raise ValueError(f"the argument 'data' is not base64: {error}") from error
        return function(*args, **kwargs)

    return call


@binary
def sha512(data: bytes, iterations: int) -> str:
    """Compute SHA-512 of `data`, then of the digest, `iterations` times in all.

    Returns:
        the last digest in hexadecimal.

    Raises:
        ValueError: `iterations` is not an integer from 1 to 10**9.
    """
    if type(iterations) is not int or not 1 <= iterations <= MAX_ITERATIONS:
        raise ValueError(f"iterations must be an integer from 1 to {MAX_ITERATIONS}, not {iterations!r}")
    digest = hashlib.sha512(data).digest()
    once_more = _short_input_sha512()
    for _ in repeat(None, iterations - 1):
        digest = once_more(digest).digest()
    return digest.hex()


def http(
    url: str,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    json: Any = None,
    timeout: float = 30,
) -> dict[str, Any]:
    """Send a request to an external service. Does not follow redirects.

    Args:
        body: request body as text.
        json: sent as JSON instead of `body`.
        timeout: seconds without progress after which the request fails.

    Returns:
        `status`, `headers` (the first 32 KiB), `body` (text, its first 128 KiB), `truncated` (whether there was more of
        either) and, if the body could not be decompressed, `decoding_error`. `body` is then as it came.

    Raises:
        PermanentError: the service answered 4xx or something that is not HTTP, or the request is invalid.
        httpx.HTTPError: the service answered 5xx or could not be reached; a retry may help.
    """
    import httpx

    answers: list[_Answer] = []
    try:
        # Building a TLS context takes longer than a whole plain HTTP request.
        with httpx.Client(
            timeout=_checked_timeout(timeout),
            verify=url.lower().startswith("https:"),
            headers={"Accept-Encoding": "gzip, deflate"},
            # Here, because what httpx does with an answer afterwards can fail: it parses a redirect's target.
            event_hooks={"response": [lambda response: answers.append(_read_answer(response))]},
        ) as client:
            request = client.build_request(method, url, headers=headers, content=body, json=json)
            client.send(request, stream=True)
    except httpx.HTTPError as error:
        if not answers:
            _raise_permanent(error, url)
            raise
    except (httpx.InvalidURL, TypeError, ValueError, AttributeError, OverflowError) as error:
        if not answers:
            raise PermanentError(f"cannot call {url!r}: {type(error).__name__}: {error}") from error
    answer = answers[0]
    if 500 <= answer.status < 600:
        raise httpx.HTTPStatusError(
            f"{method} {url} answered {answer.status}", request=answer.response.request, response=answer.response
        )
    if answer.status >= 400:
        raise PermanentError(f"{method} {url} answered {answer.status}: {answer.body[:500]}")
    return answer.document()


def sleep(seconds: float) -> None:
    """Sleep for `seconds`."""
    time.sleep(seconds)


def noop(*args: Any, **kwargs: Any) -> None:
    """Do nothing, with any arguments."""


@functools.cache
def _short_input_sha512() -> Callable[[bytes], Any]:
    """Return the constructor that is fastest for a digest: CPython's own takes half as long as OpenSSL's.

    Cached, because each import of a missing module searches the whole path.
    """
    for module in ("_sha2", "_sha512"):
        try:
            constructor: Callable[[bytes], Any] = importlib.import_module(module).sha512
        except ImportError:
            continue
        return constructor
    return hashlib.sha512


class _Answer(NamedTuple):
    """An answer to `http`: whatever is wrong with its body or headers, the service is not asked again for it."""

    status: int
    headers: dict[str, str]
    body: str
    truncated: bool
    decoding_error: str
    response: Any

    def document(self) -> dict[str, Any]:
        document = {"status": self.status, "headers": self.headers, "body": self.body, "truncated": self.truncated}
        return document | {"decoding_error": self.decoding_error} if self.decoding_error else document


def _checked_timeout(seconds: float | None) -> float | None:
    """Return a timeout as a number. httpx would notice only once it has opened a socket."""
    if seconds is not None and not (type(seconds) in (int, float) and 0 < seconds <= _MAX_TIMEOUT_SECONDS):
        raise ValueError(f"timeout must be a number of seconds above 0, not {seconds!r}")
    return seconds


def _read_answer(response: Any) -> _Answer:
    """Read an httpx response. It is closed then."""
    import httpx

    content = bytearray()
    try:
        for chunk in response.iter_raw():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                break
    except httpx.HTTPError:
        if response.status_code < 400:
            raise
        # The status says it all.
    finally:
        response.close()
    raw, cut = bytes(content[:MAX_BODY_BYTES]), len(content) > MAX_BODY_BYTES
    body, more, decoding_error = _decompress(raw, response.headers.get("content-encoding", ""), complete=not cut)
    headers, headers_cut = _first_headers(response.headers.items())
    text = body.decode(_charset(response), "replace")
    return _Answer(response.status_code, headers, text, cut or more or headers_cut, decoding_error, response)


def _decompress(raw: bytes, encodings: str, *, complete: bool) -> tuple[bytes, bool, str]:
    """Undo a content encoding. Return the content, whether there is more of it, and what is wrong ('' for nothing)."""
    names = [name for part in encodings.lower().split(",") if (name := part.strip()) not in ("", "identity")]
    if not names or not raw:
        return raw, False, ""
    error = "only gzip and deflate are supported"
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


def _charset(response: Any) -> str:
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


def _raise_permanent(error: Exception, url: str) -> None:
    """Raise PermanentError if an error of httpx comes from the request itself, or from an answer that is not HTTP."""
    import httpx

    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        raise PermanentError(f"cannot call {url!r}: {error}") from error
    if isinstance(error, httpx.RemoteProtocolError) and not str(error).startswith(_DISCONNECTED):
        raise PermanentError(f"{url!r} answered with invalid HTTP: {error}") from error
