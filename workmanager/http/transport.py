"""HTTP requests with failover: try the next manager, with jittered exponential backoff between the rounds.

Only requests that are safe to send twice are retried after they reached a manager. The backoff is computed here: a
client needs neither redis-py nor the queue's packages. What connects is imported for the first transport: it takes
longer than everything else that a command does before its first request, and `--help` and refusals need none.
"""

import itertools
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from workmanager.errors import ClientError, Unavailable, UsageError, client_error
from workmanager.http.addresses import EXAMPLE_URL, without_user
from workmanager.http.answer import Answer, NoAnswer
from workmanager.http.json_body import json_bytes

if TYPE_CHECKING:
    from workmanager.http.connections import SyncAnswer

CONNECT_TIMEOUT_SECONDS = 3.0
ANSWER_TIMEOUT_SECONDS = 30.0
FIRST_ATTEMPT_TIMEOUT_SECONDS = 5.0
"""Timeout of the first attempt of an idempotent request; more than a healthy manager needs while a host is lost.

It doubles with every attempt. The last attempt gets `ANSWER_TIMEOUT_SECONDS`, so that busy managers can finish."""
FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 2.0
STREAM_SILENCE_SECONDS = 30.0
"""Managers send something more often, so that a stream that is silent for longer is broken."""
MAX_DOUBLINGS = 10
"""Far beyond `MAX_BACKOFF_SECONDS`, and far below the largest exponent of a float."""
USER_AGENT = "workmanager"
RETRIED_STATUSES = frozenset({502, 503, 504})


class Transport:
    """Sends requests to the manager that answered last, and to the others if it fails. Thread-safe."""

    def __init__(self, urls: Sequence[str], key: str | None, *, retry_seconds: float) -> None:
        """Open no connection yet.

        Args:
            urls: the managers' base addresses.
            key: the API key.
            retry_seconds: the longest time from a request's first attempt to its last.

        Raises:
            UsageError: no URL, one that is not http:// or https://, or a key that no header can carry.
        """
        if not urls:
            raise UsageError(f"no manager URL is given; give one, such as {EXAMPLE_URL}")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise UsageError("the API key has a character that no API key has; check how it was copied")
        from workmanager.http.connections import Connections

        headers = {"User-Agent": USER_AGENT} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._http = Connections(urls, headers, connect_seconds=CONNECT_TIMEOUT_SECONDS)
        self._urls = [without_user(url.rstrip("/")) for url in urls]
        from processes.tracing.current import current_headers

        self._trace_headers = current_headers
        self._retry_seconds = retry_seconds
        self._current = 0

    @property
    def urls(self) -> Sequence[str]:
        """The managers' base addresses, without users and passwords."""
        return tuple(self._urls)

    def close(self) -> None:
        self._http.close()

    def backoff(self) -> Iterator[float]:
        """Yield the pauses, in seconds, between attempts that the caller makes; end when `retry_seconds` are over."""
        deadline = time.monotonic() + self._retry_seconds
        for attempts in itertools.count(1):
            pause_seconds = _backoff_seconds(attempts, 1)
            if time.monotonic() + pause_seconds > deadline:
                return
            yield pause_seconds

    def request_json(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON of the answer; arguments are those of `request`."""
        answer = self.request(method, path, **options)
        try:
            return answer.json()
        except ValueError as error:
            message = f"{answer.url} did not answer with JSON; check that the URL is a manager's"
            raise ClientError(message, answer.status) from error

    def request(
        self,
        method: str,
        path: str,
        *,
        idempotent: bool,
        retry_on_503: bool = False,
        params: Mapping[str, Any] | None = None,
        wait_seconds: float = 0.0,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        json: Any = None,
        stream: bool = False,
    ) -> "SyncAnswer":
        """Send a request until a manager answers it with 2xx.

        Args:
            idempotent: it is safe to send the request again after it reached a manager.
            retry_on_503: the request is not idempotent, but 503 means that it was not carried out.
            params: of the query; those that are None are left out.
            wait_seconds: how long the manager may hold the request (long poll).
            content: the body.
            json: what the body says, in place of `content`; None if it says nothing.
            stream: return as soon as the head of the answer is there; the caller reads the rest, and closes it.

        Raises:
            ClientError: the request was refused, or not answered with 2xx within `retry_seconds`.
            UsageError: what it says cannot be written as JSON.
        """
        deadline = time.monotonic() + self._retry_seconds
        target = path + _query(params)
        headers = dict(headers or {})
        if json is not None:
            content = json_bytes(json, "the request")
            headers["Content-Type"] = "application/json"
        may_be_done = False
        for attempts in itertools.count(1):
            pause_seconds = _backoff_seconds(attempts, len(self._urls))
            current = self._current
            remaining_seconds = deadline - time.monotonic()
            answer_seconds = _timeout_seconds(attempts, remaining_seconds) if idempotent else ANSWER_TIMEOUT_SECONDS
            was_sent, is_refused = True, False
            try:
                answer = self._http.send(
                    current,
                    method,
                    target,
                    headers={**headers, **self._trace_headers()},
                    content=content,
                    timeout_seconds=answer_seconds + wait_seconds,
                    stream=stream,
                )
            except NoAnswer as error:
                failure: ClientError = Unavailable(f"no answer from {self._urls[current]}: {error}")
                failure.__cause__ = error
                was_sent = error.sent
                can_retry = idempotent or not was_sent
            else:
                if answer.is_success:
                    return answer
                failure = _error_from(answer)
                is_refused = answer.status == HTTPStatus.TOO_MANY_REQUESTS
                can_retry = is_refused or (
                    answer.status in RETRIED_STATUSES
                    and (idempotent or (retry_on_503 and answer.status == HTTPStatus.SERVICE_UNAVAILABLE))
                )
                # Another manager is asked at once, unless the caller is told to be slower.
                if pause_seconds or is_refused:
                    pause_seconds = max(pause_seconds, failure.retry_after_seconds or 0.0)
            failure.retried = may_be_done
            if not can_retry or time.monotonic() + pause_seconds > deadline:
                raise failure
            may_be_done = may_be_done or (was_sent and not is_refused)
            self._current = (current + 1) % len(self._urls)
            if pause_seconds:
                import logging  # Here, as a request is seldom sent twice.

                log = logging.getLogger(__name__)
                log.info("%s; trying again for %.0f s", failure, deadline - time.monotonic())
            time.sleep(pause_seconds)
        raise AssertionError("unreachable: the loop ends by return or raise")

    def delete(self, path: str) -> None:
        """Delete something. If it is not there any more, an earlier attempt has deleted it, and its answer was lost.

        Raises:
            ClientError: the request was refused, or not answered.
        """
        try:
            self.request("DELETE", path, idempotent=True)
        except ClientError as error:
            if not (error.retried and error.status == HTTPStatus.NOT_FOUND):
                raise

    @contextmanager
    def lines(
        self, path: str, *, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[Iterator[str]]:
        """Give the lines of a streamed answer as they come, up to where it ends or breaks off.

        Raises:
            ClientError: the request was refused, or not answered.
        """
        options: Any = {"idempotent": True, "wait_seconds": STREAM_SILENCE_SECONDS, "stream": True}
        answer = self.request("GET", path, params=params, headers=headers, **options)
        try:
            yield self._lines_of(answer)
        finally:
            answer.close()

    def _lines_of(self, answer: "SyncAnswer") -> Iterator[str]:
        try:
            yield from answer.iter_lines()
        except NoAnswer:
            return


def _backoff_seconds(attempts: int, managers: int) -> float:
    """Return the pause after so many attempts: 0 until every manager was asked once more, else the backoff."""
    rounds, remainder = divmod(attempts, managers)
    if remainder:
        return 0.0
    doublings = min(rounds - 1, MAX_DOUBLINGS)
    return min(FIRST_BACKOFF_SECONDS * 2.0**doublings, MAX_BACKOFF_SECONDS) * random.uniform(0.5, 1.0)


def _timeout_seconds(attempts: int, remaining_seconds: float) -> float:
    """Return the timeout of this attempt, where `remaining_seconds` are left for it and all further ones."""
    timeout_seconds = FIRST_ATTEMPT_TIMEOUT_SECONDS * 2.0 ** min(attempts - 1, MAX_DOUBLINGS)
    return timeout_seconds if timeout_seconds < remaining_seconds else ANSWER_TIMEOUT_SECONDS


def _query(params: Mapping[str, Any] | None) -> str:
    """Return the query of a URL, with its `?`; it is empty if every parameter is None."""
    given = {name: value for name, value in (params or {}).items() if value is not None}
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in given.items()}
    return f"?{urlencode(texts, doseq=True, quote_via=quote)}" if texts else ""


def _phrase(status: int) -> str:
    """Return the status in words."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"


def _error_from(answer: Answer) -> ClientError:
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    message = problem.get("detail") or problem.get("title") or _phrase(answer.status)
    told_seconds = answer.header("Retry-After") or ""
    return client_error(
        f"{message} (HTTP {answer.status})",
        answer.status,
        problem,
        float(told_seconds) if told_seconds.isdecimal() else None,
    )
