"""Exit codes of the command line, for scripts (docs/command-line.md)."""

from collections.abc import Mapping
from http import HTTPStatus

from workmanager.errors import ClientError, Unavailable, UsageError, WorkManagerError

FAILURE, USAGE, NOT_FOUND, NOT_ALLOWED, UNAVAILABLE, INTERRUPTED, PIPE_CLOSED = 1, 2, 3, 4, 5, 130, 141
EXIT_CODES: Mapping[int, str] = {
    0: "done",
    FAILURE: "refused or failed: a job did not finish, a check found something, a change was not confirmed",
    USAGE: "wrong usage: an option, an argument, a file or a setting; nothing was sent",
    NOT_FOUND: "there is no such job, queue, schedule, key, …",
    NOT_ALLOWED: "the API key is missing or wrong, or may not do this",
    UNAVAILABLE: "no manager answered, or none could: try again. What was asked for may have been done",
    INTERRUPTED: "interrupted (Ctrl-C)",
    PIPE_CLOSED: "the reader of the output has ended, such as `head`",
}
_BY_STATUS: Mapping[int | None, int] = {
    HTTPStatus.UNAUTHORIZED: NOT_ALLOWED,
    HTTPStatus.FORBIDDEN: NOT_ALLOWED,
    HTTPStatus.NOT_FOUND: NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: UNAVAILABLE,
}
_HINTS: Mapping[int | None, str] = {
    HTTPStatus.UNAUTHORIZED: "give the key with WORKMANAGER_API_KEY or --key",
    None: "is a manager running there? Give another one with WORKMANAGER_URL or --url; see `workmanager doctor`",
}


def exit_code(error: WorkManagerError) -> int:
    """Return the exit code of a command that ended with this error."""
    if isinstance(error, UsageError):
        return USAGE
    if not isinstance(error, ClientError):
        return FAILURE
    if isinstance(error, Unavailable) or (error.status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UNAVAILABLE
    return _BY_STATUS.get(error.status, FAILURE)


def describe(error: WorkManagerError) -> str:
    """Return the line that tells the error, with what to do about it where a command knows that."""
    hint = None
    if isinstance(error, ClientError) and (error.status is not None or isinstance(error, Unavailable)):
        hint = _HINTS.get(error.status)
    return f"workmanager: {error}" + (f" ({hint})" if hint else "")
