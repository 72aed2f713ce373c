"""One request and its answer, within bounds of size and time.

Errors name the service by its scheme, host and port. The rest of a URL can be secret, as in a chat's webhook.
"""

import re
from collections.abc import Mapping
from typing import Any

import httpx

from outgoing.answer import Answer, read_answer
from outgoing.client import open_client
from outgoing.guard import AddressRefused, Guard

TOTAL_TIMEOUTS = 10
"""A request fails after this many times its timeout, even if it makes progress: a service can send a byte at a time."""

_MAX_TIMEOUT_SECONDS = 1_000_000_000
_DISCONNECTED = ("Server disconnected", "peer closed connection")
"""Beginnings of the errors that httpx raises if the connection breaks, in contrast to those about invalid HTTP."""
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(rb"(?:[!-~](?:[\t -~]*[!-~])?)?")
"""RFC 9110, 5.5, in ASCII."""
_OWN_HEADERS = frozenset(
    {
        *("host", "content-length", "transfer-encoding"),
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "http2-settings"),
        *("proxy-authorization", "expect"),
    }
)
"""What the client says itself about the connection and the message's end. Another value would smuggle a request past a
proxy, or reach another service behind it."""


class CallFailed(Exception):
    """A repeat cannot help: the request is invalid or not permitted, or the answer is not HTTP."""


def exchange(
    guard: Guard,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None,
    body: str | None,
    json: Any,
    timeout_seconds: float | None,
) -> Answer:
    """Send a request and read the beginning of its answer. Redirects are answers.

    Args:
        timeout_seconds: how long to wait without progress; `TOTAL_TIMEOUTS` times as long in all. None: for ever.

    Raises:
        CallFailed: see there.
        httpx.HTTPError: the service could not be reached, or broke off.
    """
    answers: list[Answer] = []
    try:
        _check_method(method)
        given = _checked_headers(headers)
        with open_client(
            guard,
            timeout_seconds=_checked_timeout(timeout_seconds),
            total_seconds=timeout_seconds and timeout_seconds * TOTAL_TIMEOUTS,
            headers={"Accept-Encoding": "gzip, deflate"},
            # Here, because what httpx does with an answer afterwards can fail: it parses a redirect's target.
            event_hooks={"response": [lambda response: answers.append(read_answer(response))]},
        ) as client:
            client.send(client.build_request(method, url, headers=given, content=body, json=json), stream=True)
    except httpx.HTTPError as error:
        if not answers:
            _raise_if_final(error, url)
            error.args = (f"no answer from {origin(url)}: {error}",)
            raise
    except httpx.InvalidURL as error:
        if not answers:
            # The rest of the message quotes the URL, in which a password can be at the wrong place.
            raise CallFailed(f"cannot call {origin(url)}: {re.split('[:,]', str(error))[0]}") from None
    except (AddressRefused, TypeError, ValueError, AttributeError, OverflowError) as error:
        if not answers:
            raise CallFailed(f"cannot call {origin(url)}: {_reason(error)}") from error
    return answers[0]


def origin(url: object) -> str:
    """Return scheme, host and port of a URL, without what can be secret in it."""
    try:
        parsed = httpx.URL(url)  # type: ignore[arg-type]  # Refuses other types.
        netloc = parsed.netloc.decode("ascii")
    except (httpx.InvalidURL, TypeError, ValueError):
        return "the URL"
    return f"{parsed.scheme}://{netloc}" if netloc else "the URL"


def _check_method(method: object) -> None:
    if not isinstance(method, str) or not _TOKEN.fullmatch(method.encode(errors="replace")):
        raise ValueError("the method must be a word such as POST")
    if method.upper() == "CONNECT":
        raise ValueError("the method CONNECT opens a tunnel, which is not supported")


def _checked_headers(headers: Mapping[str, str] | None) -> httpx.Headers:
    """Return the headers as httpx has them. Values are not shown: they can be secret."""
    try:
        checked = httpx.Headers(headers)
    except UnicodeEncodeError as error:
        raise ValueError("a header is not ASCII text") from error
    for raw_name, value in checked.raw:
        name = raw_name.decode("ascii", "replace")
        if not _TOKEN.fullmatch(raw_name):
            raise ValueError(f"{name!r} is not the name of a header")
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"the header {name!r} is set by the client; leave it out")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(
                f"the value of the header {name!r} must be ASCII text without line breaks and other control"
                " characters, and without spaces at its ends"
            )
    return checked


def _checked_timeout(seconds: float | None) -> float | None:
    """Return a timeout as a number. httpx would notice only once it has opened a socket."""
    if seconds is not None and not (type(seconds) in (int, float) and 0 < seconds <= _MAX_TIMEOUT_SECONDS):
        raise ValueError(f"timeout must be a number of seconds above 0, not {seconds!r}")
    return seconds


def _raise_if_final(error: httpx.HTTPError, url: str) -> None:
    """Raise CallFailed if an error of httpx comes from the request itself, or from an answer that is not HTTP."""
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        raise CallFailed(f"cannot call {origin(url)}: {error}") from error
    if isinstance(error, httpx.RemoteProtocolError) and not str(error).startswith(_DISCONNECTED):
        raise CallFailed(f"{origin(url)} answered with invalid HTTP: {error}") from error


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, AddressRefused) else f"{type(error).__name__}: {error}"
