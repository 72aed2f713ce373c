"""What waits to be sent on one stream."""

import asyncio


class Inbox:
    """Wakes the stream that it belongs to.

    Attributes:
        is_over: the manager stops: the stream must end now.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._has_news = False
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self, seconds: float) -> None:
        """Return when there is something new since the last time, or after so many seconds."""
        if not self._has_news:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(seconds, self._end_wait)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        self._has_news = False

    async def pause(self, seconds: float) -> None:
        """Return after so many seconds, whatever is new; at once if the manager stops."""
        end = asyncio.get_running_loop().time() + seconds
        while not self.is_over and (left := end - asyncio.get_running_loop().time()) > 0:
            await self.wait(left)
        self._has_news = True

    def wake(self) -> None:
        """Tell that there is something new."""
        self._has_news = True
        self._end_wait()

    def end(self) -> None:
        """Tell that the manager stops."""
        self.is_over = True
        self.wake()

    def _end_wait(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
