"""One HTTP request to whichever manager answers: failover, and bounded, jittered retries of what may be repeated."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import httpx

from workmanager.errors import ClientError, UsageError

_EXAMPLE = "http://127.0.0.1:5000"
_CONNECT_SECONDS = 3.0
_ANSWER_SECONDS = 30.0
FIRST_ATTEMPT_TIMEOUT_SECONDS = 5.0
"""More than a healthy manager needs while a host is lost. Where a request may be repeated, a manager that is silent for
so long is passed over; each try is given twice the time, and the last one all of it, so that busy ones get theirs."""
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_TRY_AGAIN = frozenset({502, 503, 504})
# The request never reached a manager, so that repeating it cannot do anything twice.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Transport:
    """Keeps to the manager that answered last; threads may share it."""

    def __init__(self, urls: Sequence[str], key: str | None, *, retry_seconds: float) -> None:
        """`urls` are the managers' base addresses; `retry_seconds` bounds the time from the first try to the last.

        Raises:
            UsageError: no address, or one that is not http:// or https://.
        """
        self._urls = [url.rstrip("/") for url in urls]
        if not self._urls:
            raise UsageError("no manager's URL is given")
        for url in self._urls:
            if not _is_http(url):
                raise UsageError(f"a manager's URL is like {_EXAMPLE}, and not {url!r}")
        self._retry_seconds = retry_seconds
        self._current = 0
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # A proxy that the environment names is no way to this machine's own managers.
        direct = {f"all://{host}": httpx.HTTPTransport() for host in ("127.0.0.1", "localhost", "[::1]")}
        self._http = httpx.Client(headers=headers, mounts=direct)

    def close(self) -> None:
        self._http.close()

    def backoff(self) -> Iterator[float]:
        """Seconds between the tries of something that its caller repeats: growing, with jitter, bounded in all."""
        deadline = time.monotonic() + self._retry_seconds
        for tries in itertools.count(1):
            pause_seconds = _pause_seconds(tries, 1)
            if time.monotonic() + pause_seconds > deadline:
                return
            yield pause_seconds

    def request_json(self, method: str, path: str, **how: Any) -> Any:
        """The JSON of the answer to a `request`."""
        answer = self.request(method, path, **how)
        try:
            return answer.json()
        except ValueError as error:
            raise ClientError(f"{answer.url} did not answer with JSON: is it a manager?", answer.status_code) from error

    def request(
        self,
        method: str,
        path: str,
        *,
        idempotent: bool,
        retry_on_503: bool = False,
        params: Mapping[str, Any] | None = None,
        wait_seconds: float = 0.0,
        **body: Any,
    ) -> httpx.Response:
        """The answer, 2xx. `wait_seconds` is how long the manager may hold it; `body` is as httpx takes it.

        Without `idempotent` only a request that never reached a manager is sent again, and with `retry_on_503`
        one that was answered with 503.

        Raises:
            ClientError: refused, or not answered well until `retry_seconds` were over.
        """
        deadline = time.monotonic() + self._retry_seconds
        uncertain = False
        for tries in itertools.count(1):
            pause_seconds = _pause_seconds(tries, len(self._urls))
            current = self._current
            patience_seconds = _patience_seconds(tries, deadline - time.monotonic()) if idempotent else _ANSWER_SECONDS
            timeout = httpx.Timeout(patience_seconds + wait_seconds, connect=_CONNECT_SECONDS)
            try:
                answer = self._http.request(
                    method, self._urls[current] + path, params=_given(params), timeout=timeout, **body
                )
            except httpx.TransportError as error:
                failure = ClientError(f"no answer from {self._urls[current]}: {error or type(error).__name__}")
                failure.__cause__ = error
                again = idempotent or isinstance(error, _NOT_SENT)
            else:
                if answer.is_success:
                    return answer
                failure = _refusal(answer)
                again = answer.status_code in _TRY_AGAIN and (
                    idempotent or (retry_on_503 and answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE)
                )
                pause_seconds = max(pause_seconds, _retry_after_seconds(answer) if pause_seconds else 0.0)
            failure.retried = uncertain
            if not again or time.monotonic() + pause_seconds > deadline:
                raise failure
            uncertain = uncertain or not isinstance(failure.__cause__, _NOT_SENT)
            self._current = (current + 1) % len(self._urls)
            time.sleep(pause_seconds)
        raise AssertionError("unreachable: the loop has no end of its own")


def _is_http(text: str) -> bool:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)


def _pause_seconds(tries: int, managers: int) -> float:
    """Zero until every manager was asked once; then growing, with jitter."""
    rounds, place = divmod(tries, managers)
    if place:
        return 0.0
    return min(_FIRST_PAUSE_SECONDS * 2.0 ** (rounds - 1), _LONGEST_PAUSE_SECONDS) * random.uniform(0.5, 1.0)


def _patience_seconds(tries: int, left_seconds: float) -> float:
    """How long an answer may take to a try after which there are so many seconds left for others."""
    patience_seconds = FIRST_ATTEMPT_TIMEOUT_SECONDS * 2.0 ** (tries - 1)
    return patience_seconds if patience_seconds < left_seconds else _ANSWER_SECONDS


def _given(params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value is not None}


def _retry_after_seconds(answer: httpx.Response) -> int:
    value: str = answer.headers.get("Retry-After", "")
    return int(value) if value.isdecimal() else 0


def _refusal(answer: httpx.Response) -> ClientError:
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    told = problem.get("detail") or problem.get("title") or answer.reason_phrase
    return ClientError(f"{told} (HTTP {answer.status_code})", answer.status_code, problem)
