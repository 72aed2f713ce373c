"""Exceptions of the command line and the client."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class WorkManagerError(Exception):
    """A command or a client call failed; the message is one line that says why."""


class UsageError(WorkManagerError):
    """The request itself is wrong: an option, or a port or directory that is in use. The command exits with 2."""


class ServerError(WorkManagerError):
    """A server on this machine did not start or did not answer; the message names its log."""


class UnreadableFile(ServerError):
    """A server did not start because it cannot read its append-only files; the message says what a person can do."""


class ClientError(WorkManagerError):
    """A manager refused the request, or none answered in time. The subclasses below name the usual cases.

    Attributes:
        status: the HTTP status; None if no manager answered. With None, 502, 503 and 504 the request may have been
            carried out; with 429 it was not.
        problem: the problem details (RFC 9457) of the answer.
        retry_after_seconds: when the manager expects a repeat to succeed; None if it did not say.
        retried: the request was sent more than once, and an earlier attempt may have been carried out.
    """

    def __init__(
        self,
        message: str,
        status: int | None = None,
        problem: Mapping[str, Any] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.problem: Mapping[str, Any] = problem or {}
        self.retry_after_seconds = retry_after_seconds
        self.retried = False


class Unavailable(ClientError):
    """No manager answered, or none could (502, 503, 504): the request may have been carried out; repeat it later."""


class NotFound(ClientError):
    """What the request names does not exist (404), or the API key does not see it."""


class Conflict(ClientError):
    """The request contradicts what is there (409): a unique key is held, a job has ended, an id has other content."""


class JobFailed(WorkManagerError):
    """A job has ended without a result that can be read.

    Attributes:
        job_id: the job.
        status: `failed`, `stopped` or `canceled`; `finished` if there is a result that only RQ's client can read.
        reason: `error.reason` of the job, such as `timeout`; None if there is none.
        traceback: that of the function's exception, if it raised one.
    """

    def __init__(
        self, message: str, job_id: str, status: str, reason: str | None = None, traceback: str | None = None
    ) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.status = status
        self.reason = reason
        self.traceback = traceback


def client_error(
    message: str,
    status: int | None = None,
    problem: Mapping[str, Any] | None = None,
    retry_after_seconds: float | None = None,
) -> ClientError:
    """Return the error of the class that the HTTP status calls for."""
    kind = _KINDS.get(status, ClientError)
    return kind(message, status, problem, retry_after_seconds)


_KINDS: Mapping[int | None, type[ClientError]] = {
    None: Unavailable,
    HTTPStatus.BAD_GATEWAY: Unavailable,
    HTTPStatus.SERVICE_UNAVAILABLE: Unavailable,
    HTTPStatus.GATEWAY_TIMEOUT: Unavailable,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
}
