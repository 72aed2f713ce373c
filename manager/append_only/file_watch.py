"""Decide whether a server's append-only file is sound, and when to ask for a rewrite. Pure: the caller passes the time.

If its disk is full, a server writes a part of its last commands, cuts that part off again, and repeats them later. If
the file was begun by a rewrite, Redis 7 and Valkey repeat them further behind. A gap of NULs remains, and the server
cannot be started from the file. The next such error even cuts off older commands. The server reports `ok` as soon as it
can write again. Only a rewrite that begins after the error makes a file without gaps
(findings/redis-short-aof-write.sh).
"""

import math

from jobqueue.backoff import exponential_seconds
from manager.append_only.file_state import AppendOnlyState

FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 5.0, 60.0
"""Pause between two requests for a rewrite: each one that fails for lack of room may fill the disk again."""

WRITE_FAILS = "it cannot be written: free space on the server's disk"
NEEDS_REWRITE = "a write to it has failed: the server may not start from it until it has been rewritten"
REWRITE_FAILED = "its last rewrite has failed: is there room for a copy on the server's disk?"


class FileWatch:
    """One server's append-only file, as it was observed.

    Attributes:
        problem: why it is not sound; None if it is.
    """

    def __init__(self) -> None:
        self.problem: str | None = None
        self._start("")

    def _start(self, run_id: str) -> None:
        self._run_id = run_id
        self._refused_writes = 0
        # The file is sound once more rewrites than these have begun: infinitely many as long as errors last.
        self._rewrites_before: float | None = None
        self._requests = 0
        self._next_request_at = 0.0

    def look(self, state: AppendOnlyState | None, now: float) -> bool:
        """Take a look into account; return whether to ask the server for a rewrite now.

        Args:
            state: None if the server has no such file.
            now: monotonic seconds.
        """
        if state is None:
            self.problem = None
            return False
        if state.run_id != self._run_id:
            # A server that has started has read its file. Writes that it has refused since then, before the first look,
            # are taken for errors without a rewrite.
            self._start(state.run_id)
        self.problem = self._assess(state)
        if self.problem in (None, WRITE_FAILS):
            self._requests, self._next_request_at = 0, now
            return False
        if state.is_rewriting or now < self._next_request_at:
            return False
        self._next_request_at = now + exponential_seconds(self._requests, FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS)
        self._requests += 1
        return True

    def _assess(self, state: AppendOnlyState) -> str | None:
        before = self._rewrites_before
        has_refused = state.refused_writes > self._refused_writes and not state.snapshot_fails
        if state.write_fails:
            self._rewrites_before = math.inf
        elif before == math.inf or has_refused:
            self._rewrites_before = state.rewrites
        elif before is not None and state.rewrites > before and not (state.is_rewriting or state.rewrite_failed):
            self._rewrites_before = None
        self._refused_writes = state.refused_writes
        if state.write_fails:
            return WRITE_FAILS
        if state.rewrite_failed:
            return REWRITE_FAILED
        return NEEDS_REWRITE if self._rewrites_before is not None else None
