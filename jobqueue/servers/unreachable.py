"""Why a server cannot be used: it does not answer, or is not what it must be."""

from jobqueue.errors import JobQueueError


class ServerUnreachable(JobQueueError):
    """A server did not reply.

    Attributes:
        sent: whether the commands had been written, so that they may have run.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class UserDenied(ServerUnreachable):
    """A server denies the connection's user a command that every call needs."""


class DatabaseRefused(ServerUnreachable):
    """A server does not let the connection use the URL's database, or set what else the URL asks for."""


class ServerRefused(ServerUnreachable):
    """A server is not what it must be, such as a member of the cluster: nothing is read from it or written to it."""
