"""What the command line and the client can fail with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class WorkManagerError(Exception):
    """Something the user asked for could not be done; the message is one line that says why."""


class UsageError(WorkManagerError):
    """The request itself is wrong (an option, a port or directory in use); the command exits with 2."""


class ServerError(WorkManagerError):
    """An embedded server did not start or did not answer; its log, named in the message, has the details."""


class ClientError(WorkManagerError):
    """A manager refused the request, or none answered in time.

    `status` is the HTTP status, None when no manager answered; `problem` holds the problem details (RFC 9457) of
    the answer. With None, 502, 503 and 504 the request may yet have been carried out. `repeated`: it was sent before,
    and may have been carried out then.
    """

    def __init__(self, message: str, status: int | None = None, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem: Mapping[str, Any] = problem or {}
        self.retried = False
