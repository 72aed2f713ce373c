"""The directory in which an embedded server, or cluster, keeps its jobs: held by one system at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from workmanager.errors import UsageError

RedisMode = Literal["single", "cluster"]
_KINDS: tuple[RedisMode, ...] = ("single", "cluster")


class DataDirectory:
    """A directory that is locked until `close`, and until every process that inherited the lock has ended."""

    def __init__(self, path: Path, mode: RedisMode) -> None:
        """Makes the directory where it is missing.

        Raises:
            UsageError: it cannot be made, another system holds it, or it holds jobs of the other kind.
        """
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.lock_fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(f"cannot use the data directory {path}: {error.strerror}") from error
        try:
            self._lock()
            self._check(mode)
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

    def _check(self, kind: RedisMode) -> None:
        """One server's jobs are not seen by a cluster, nor the reverse: that must not look like loss."""
        other = next(candidate for candidate in _KINDS if candidate != kind)
        if (self.path / other).exists() and not (self.path / kind).exists():
            option = "with" if other == "cluster" else "without"
            raise UsageError(
                f"the data directory {self.path} holds the jobs of an `up` {option} --cluster: "
                f"start it {option} --cluster, or choose another --data-dir"
            )
