"""The data directory of embedded Redis servers, locked so that only one system uses it at a time."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from workmanager.errors import UsageError

RedisMode = Literal["single", "cluster"]
REDIS_MODES: tuple[RedisMode, ...] = ("single", "cluster")


class DataDirectory:
    """A directory that is locked until `close`, and until every process that inherited the lock has ended."""

    def __init__(self, path: Path, mode: RedisMode) -> None:
        """Create the directory if it is missing, and lock it.

        Raises:
            UsageError: it cannot be created, another system uses it, or it holds jobs of the other mode.
        """
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.lock_fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(f"cannot use the data directory {path}: {error.strerror}") from error
        try:
            self._lock()
            self._check_mode(mode)
        except UsageError:
            os.close(self.lock_fd)
            raise
        self.servers_directory = path / mode

    def close(self) -> None:
        os.close(self.lock_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"the data directory {self.path} is in use by another `workmanager up`; choose another with --data-dir"
            ) from error

    def _check_mode(self, mode: RedisMode) -> None:
        """Refuse the other mode's directory: a cluster does not see a single server's jobs, nor the reverse."""
        other = next(candidate for candidate in REDIS_MODES if candidate != mode)
        if (self.path / other).exists() and not (self.path / mode).exists():
            option = "with" if other == "cluster" else "without"
            raise UsageError(
                f"the data directory {self.path} holds the jobs of a `workmanager up` {option} --cluster: "
                f"start it {option} --cluster, or choose another --data-dir"
            )
