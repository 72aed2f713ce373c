"""What a submission asks to be told, as it is stored with the job."""

from functools import lru_cache

import orjson

from jobqueue.callbacks.entry import EVENTS
from manager.callbacks.target import check_target
from manager.http.problems import INVALID, Problem
from outgoing.guard import Guard

MAX_CHECKED = 1024
"""Most submissions repeat a few URLs."""


class CallbackCheck:
    """Checks the callbacks of submissions.

    Args:
        guard: judges the URLs' addresses.
        may_be_sent: whether callbacks can be signed, or need not be, because only this machine reaches the manager.
    """

    def __init__(self, guard: Guard, *, may_be_sent: bool) -> None:
        self._guard = guard
        self._may_be_sent = may_be_sent
        self._stored = lru_cache(MAX_CHECKED)(self._store)

    def check(self, field: str, url: str, events: tuple[str, ...] = EVENTS, include: tuple[str, ...] = ()) -> str:
        """Return the text of the record's field `wm_callback`.

        Args:
            field: the URL's, for the problem.

        Raises:
            Problem: 422, the URL is not valid or its address not permitted, or callbacks cannot be signed.
        """
        try:
            if not self._may_be_sent:
                raise ValueError(
                    "callbacks must be signed: the operator sets WORKMANAGER_CALLBACK_SECRETS on the managers"
                )
            return self._stored(url, events, include)
        except ValueError as error:
            raise Problem(INVALID, f"{field}: {error}", errors=[{"field": field, "message": str(error)}]) from error

    def _store(self, url: str, events: tuple[str, ...], include: tuple[str, ...]) -> str:
        target = check_target(url, self._guard)
        # The same events are the same submission, in whatever order they are named.
        wanted = [event for event in EVENTS if event in events]
        asked = {"url": target.url, "host": target.host, "events": wanted, "include": sorted(set(include))}
        return orjson.dumps(asked).decode()
