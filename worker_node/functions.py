"""The built-in job functions, for this worker and for a stock RQ worker alike."""

import base64
import binascii
import functools
import hashlib
import importlib
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from typing import Any, ParamSpec, TypeVar

MAX_ITERATIONS = 10**9
MAX_BODY_BYTES = 128 * 1024
"""How much of a service's answer `http` keeps: JSON may write a byte as six, and a result is at most 1 MiB."""

P = ParamSpec("P")
R = TypeVar("R")


class PermanentError(Exception):
    """The job cannot succeed, however often it is tried: it fails at once, whatever retries it has left.

    A job function raises it, or a subclass, to say so.
    """


def binary(function: Callable[P, R]) -> Callable[P, R]:
    """Marks a job function whose keyword argument `data` is bytes.

    Records carry the bytes as base64 text, which is decoded before the call; bytes are passed on as they are.

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
    """SHA-512 of `data`, then of the digest, `iterations` times in all.

    Returns:
        the last digest, in hexadecimal.

    Raises:
        ValueError: `iterations` is no integer from 1 to 10**9.
    """
    if type(iterations) is not int or not 1 <= iterations <= MAX_ITERATIONS:
        raise ValueError(f"iterations must be an integer from 1 to {MAX_ITERATIONS}, it is {iterations!r}")
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
    """Calls an external service; redirects are not followed.

    Args:
        body: the request's body as text; `json` instead sends that value as JSON.
        timeout: seconds without progress after which the call fails.

    Returns:
        `status`, `headers`, `body` (text, its first 128 KiB) and `truncated`.

    Raises:
        PermanentError: the service answered 4xx, or the request itself is wrong.
        httpx.HTTPError: it answered 5xx or could not be reached; a retry may help.
    """
    import httpx

    # Building a TLS context costs more than a whole plain call.
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
    """Does nothing for so many seconds."""
    time.sleep(seconds)


def noop(*args: Any, **kwargs: Any) -> None:
    """Does nothing at all, whatever it is given."""


@functools.cache
def _short_input_sha512() -> Callable[[bytes], Any]:
    """The constructor that is fastest on a digest: CPython's own takes half as long as OpenSSL's.

    It is looked for once: a module that is not there is searched on the whole path each time.
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
