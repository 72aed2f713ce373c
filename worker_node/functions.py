"""Built-in job functions. They run under this worker and under RQ's own worker.

Job records name this module, so its path and the names in it must not change.
"""

import base64
import binascii
import functools
import hashlib
import importlib
import os
import time
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any, ParamSpec, TypeVar

from jobqueue.model import MAX_ITERATIONS

HTTP_ALLOW = "WORKMANAGER_HTTP_ALLOW"
"""The variable that names what `http` may call besides public addresses."""

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
    """Send a request to an external service. Does not follow redirects, and uses no proxy.

    It reaches public addresses, and those that the operator names in WORKMANAGER_HTTP_ALLOW.

    Args:
        headers: without those that the client sets itself, such as `Host` and `Content-Length`.
        body: request body as text.
        json: sent as JSON instead of `body`.
        timeout: seconds without progress after which the request fails. It also fails after ten times as long.

    Returns:
        `status`, `headers` (the first 32 KiB), `body` (text, its first 128 KiB), `truncated` (whether there was more of
        either) and, if the body could not be decompressed, `decoding_error`. `body` is then as it came.

    Raises:
        PermanentError: the service answered 4xx or something that is not HTTP, or the request is invalid or not
            permitted.
        httpx.HTTPError: the service answered 5xx or could not be reached; a retry may help.
    """
    # Here, because httpx takes longer to import than most jobs take.
    import httpx

    from outgoing.exchange import CallFailed, exchange, origin
    from outgoing.guard import Guard

    headers = _with_trace(headers)
    try:
        # A plain RQ worker runs this, too, and knows no other way to a setting.
        guard = Guard.from_setting(HTTP_ALLOW, os.environ.get(HTTP_ALLOW, ""))
        answer = exchange(guard, method, url, headers=headers, body=body, json=json, timeout_seconds=timeout)
    except (CallFailed, ValueError) as error:
        raise PermanentError(str(error)) from None
    if 500 <= answer.status < 600:
        raise httpx.HTTPStatusError(
            f"{method} {origin(url)} answered {answer.status}",
            request=answer.response.request,
            response=answer.response,
        )
    if answer.status >= 400:
        raise PermanentError(f"{method} {origin(url)} answered {answer.status}: {answer.body[:500]}")
    result = {
        "status": answer.status,
        "headers": answer.headers,
        "body": answer.body,
        "truncated": answer.truncated,
    }
    return result | {"decoding_error": answer.decoding_error} if answer.decoding_error else result


def _with_trace(headers: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return header fields with those of the job's span, if it has one and they do not name another."""
    from processes.tracing.current import current_headers

    trace = current_headers()
    if not trace or not isinstance(headers, Mapping | None):
        return headers
    given = {str(name).lower() for name in headers or ()}
    return dict(headers or {}) if "traceparent" in given else {**trace, **(headers or {})}


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
