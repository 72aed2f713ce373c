"""Built-in job functions. They run under this worker and under RQ's own worker.

Job records name this module, so its path and the names in it must not change.
"""

import base64
import binascii
import functools
import hashlib
import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import Any, ParamSpec, TypeVar

from jobqueue.model import MAX_ITERATIONS

MAX_BODY_BYTES = 128 * 1024
"""How much of a response `http` keeps: JSON can take six bytes for one, and the maximum for a result is 1 MiB."""

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
        `status`, `headers`, `body` (text, its first 128 KiB) and `truncated`.

    Raises:
        PermanentError: the service answered 4xx, or the request is invalid.
        httpx.HTTPError: the service answered 5xx or could not be reached; a retry may help.
    """
    import httpx

    # Building a TLS context takes longer than a whole plain HTTP request.
    with httpx.Client(timeout=timeout, verify=url.lower().startswith("https:")) as client:
        try:
            request = client.build_request(method, url, headers=headers, content=body, json=json)
            response = client.send(request, stream=True)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise PermanentError(f"cannot call {url!r}: {error}") from error
        content, truncated = _read(response.iter_bytes())
    if 400 <= response.status_code < 500:
        raise PermanentError(
            f"{method} {url} answered {response.status_code}: {content[:500].decode('utf-8', 'replace')}"
        )
    if response.status_code >= 500:
        raise httpx.HTTPStatusError(
            f"{method} {url} answered {response.status_code}", request=request, response=response
        )
    return {
        "status": response.status_code,
        "headers": dict(response.headers),
        "body": content.decode(response.encoding or "utf-8", "replace"),
        "truncated": truncated,
    }


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


def _read(chunks: Iterable[bytes]) -> tuple[bytes, bool]:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            return bytes(content[:MAX_BODY_BYTES]), True
    return bytes(content), False
