"""The issuer's keys that this manager knows, fetched in the background, so that no request waits for the issuer.

While the issuer is away, the keys from before are used on.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from joserfc.jwk import KeySet

from jobqueue.backoff import Outage, jittered_seconds
from manager.jwt.errors import IssuerUnavailable

REFRESH_SECONDS = 300.0
"""A key that the issuer has withdrawn is refused after so long; a new one is known before it is used, as a rule."""
MIN_ASK_SECONDS = 30.0
"""The issuer is not asked more often than this for keys that only requests know."""
MAX_AGE_SECONDS = 24 * 3600.0
"""Keys are used for so long after they were fetched."""
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 1.0, 30.0
MAX_LOGGED_CHARACTERS = 500

log = logging.getLogger(__name__)


class IssuerKeys:
    """The keys.

    Args:
        fetch: asks the issuer for its keys; raises `IssuerUnavailable`.
        clock: returns seconds that never go back.
    """

    def __init__(self, fetch: Callable[[], Awaitable[KeySet]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._may_ask_at = clock()
        self._asked = asyncio.Event()
        self._is_fetching = False
        self._failures = 0
        self._outage = Outage(clock)
        self._task: asyncio.Task[None] | None = None

    def current(self) -> KeySet | None:
        """Return the keys, the same object until they change; None if they are not known, or are too old."""
        is_current = self._keys is not None and self._clock() - self._fetched_at <= MAX_AGE_SECONDS
        return self._keys if is_current else None

    def ask(self) -> bool:
        """Have the keys fetched for a token of an unknown one, at most once in `MIN_ASK_SECONDS`.

        Returns:
            Whether an answer of the issuer is being waited for.
        """
        now = self._clock()
        if now >= self._may_ask_at:
            self._may_ask_at = now + MIN_ASK_SECONDS
            self._asked.set()
        return self._is_fetching or self._asked.is_set()

    def start(self) -> None:
        """Fetch the keys now, and again and again."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop fetching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._asked.clear()
            self._is_fetching = True
            await self._refresh()
            self._is_fetching = False
            pause_seconds = REFRESH_SECONDS
            if self._failures:
                pause_seconds = jittered_seconds(self._failures - 1, FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_seconds):
                    await self._asked.wait()

    async def _refresh(self) -> None:
        began_at = self._clock()
        try:
            keys = await self._fetch()
        except IssuerUnavailable as error:
            self._failures += 1
            if self._outage.begin():
                log.warning("event=issuer_unavailable error=%r", str(error)[:MAX_LOGGED_CHARACTERS])
        except Exception:  # The loop's edge: an unforeseen error must not end the fetches.
            self._failures += 1
            if self._outage.begin("crash"):
                log.exception("event=issuer_keys_crashed")
        else:
            self._failures = 0
            self._fetched_at = began_at
            if (seconds := self._outage.end()) is not None:
                log.info("event=issuer_available after_seconds=%.1f", seconds)
            if keys != self._keys:
                self._keys = keys
                log.info("event=issuer_keys_changed keys=%d", len(keys.keys))
