"""Exceptions of the command line and the client."""

from collections.abc import Mapping
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
    """A manager refused the request, or none answered in time.

    Attributes:
        status: the HTTP status; None if no manager answered. With None, 502, 503 and 504 the request may have been
            carried out; with 429 it was not.
        problem: the problem details (RFC 9457) of the answer.
        retried: the request was sent more than once, and an earlier attempt may have been carried out.
    """

    def __init__(self, message: str, status: int | None = None, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem: Mapping[str, Any] = problem or {}
        self.retried = False
