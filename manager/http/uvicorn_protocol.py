"""One client connection, for uvicorn's server: requests are answered in order, and within deadlines.

uvicorn's own protocol mistakes bodies for another protocol, loses responses when it closes, and lets clients hold
connections and memory for ever. This one also does less work for a request that arrives in one packet.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import asyncio
from typing import Any

from uvicorn import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from manager.http.asgi import FIELDS, REFUSAL, Application, Scope
from manager.http.connection_limit import MAX_EXCESS, ConnectionLimit
from manager.http.deadlines import DEFAULT_DEADLINES, Deadlines
from manager.http.exchange import Exchange
from manager.http.problems import TOO_MANY_CONNECTIONS, TOO_SLOW, Problem
from manager.http.request_reader import RequestReader

SLICE_BYTES = 8 * 1024
"""More data than this is read in parts, so that many small requests in one packet do not all become objects.

Behind a pipelined request, no more than this and one packet is received: enough to notice a client that goes away. If
more arrives, it would not be noticed, so requests do not wait then."""

_ASGI = {"version": "3.0", "spec_version": "2.3"}


class ManagerHttpProtocol(asyncio.Protocol):
    """One client connection. `manager.http.exchange.Connection` says what exchanges use of it.

    Args:
        config: of uvicorn's server. Its limits and timeouts of connections are not used.
        server_state: of uvicorn's server.
        limit: all connections of the server; None for any number.
        deadlines: how long each step may take.

    Attributes:
        has_served: whether it has carried a request.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limit: ConnectionLimit | None = None,
        deadlines: Deadlines = DEFAULT_DEADLINES,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.root_path = config.root_path
        self.is_write_paused = False
        self.has_served = False
        self.transport: asyncio.Transport
        self._reader: RequestReader
        self._app: Application = config.loaded_app
        self._limit = limit
        self._state = server_state
        self._deadlines = deadlines
        self._latest: Exchange | None = None
        """The request that was read last; maybe not all of its body."""
        self._current: Exchange | None = None
        """The request that is being answered; those of the pipeline are later ones."""
        self._pipeline: list[Exchange] = []
        self._unread = memoryview(b"")
        """What has arrived and is read when the pipeline is empty."""
        self._farewell_bytes: int | None = None
        """How much more is thrown away after the last response; None before that response."""
        self._is_broken = False
        """What follows cannot be read."""
        self._is_unfinished = False
        """The last packet ended in the middle of a request."""
        self._since = self.loop.time()
        """When the connection, the wait for the next request, its head, or the farewell began."""
        self._timer: asyncio.TimerHandle | None = None
        self._mark: tuple[object, int] | None = None
        """What the timer compares with when it fires the next time."""
        self._is_half_closed = False
        self._is_read_paused = False
        """Nothing is read until the pipeline is empty, or the route has taken more of the body."""
        self._is_transport_paused = False
        self._drained: asyncio.Future[None] | None = None

    # Called by uvicorn and the event loop.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it is always one
        """Start."""
        self.transport = transport
        self._base: dict[str, Any] = {"type": "http", "asgi": _ASGI, "scheme": "http", "root_path": ""}
        self._base.update(server=get_local_addr(transport), client=get_remote_addr(transport))
        self._reader = RequestReader(self, self._base, self.root_path)
        self._state.connections.add(self)  # type: ignore[arg-type]  # uvicorn names its own classes
        self._set_timer(self._deadlines.head_seconds)
        if self._limit is not None and not self._limit.admit(self, self._since):
            if self._limit.excess > MAX_EXCESS:
                transport.abort()
            else:
                detail = f"this manager has {self._limit.limit} connections: try again, or another manager"
                self._refuse(Problem(TOO_MANY_CONNECTIONS, detail, headers={"Retry-After": "1"}))

    def data_received(self, data: bytes) -> None:
        """Read requests."""
        if self._farewell_bytes is not None:
            self._farewell_bytes -= len(data)
            if self._farewell_bytes < 0:
                self.transport.close()
        elif self._is_broken:
            pass
        elif len(data) > SLICE_BYTES or self._unread or self._is_read_paused:
            self._unread = memoryview(b"".join((self._unread, data)) if self._unread else data)
            self._read_on()
            self._regulate_transport()
        else:
            self._read(data)

    def eof_received(self) -> bool:
        """Answer what has arrived completely; the client may still read. Return whether to keep the connection."""
        if self._current is None or self._latest is None or self._farewell_bytes is not None:
            return False
        if not self._latest.received and not self._is_broken and not self._unread:
            if self._latest is self._current:
                return False
            self._pipeline.remove(self._latest)
        self._is_half_closed = True
        for exchange in (self._current, *self._pipeline):
            exchange.half_close()
        return True

    def pause_writing(self) -> None:
        """Note that the client reads more slowly than the responses are written."""
        self.is_write_paused = True

    def resume_writing(self) -> None:
        """Note that the client has caught up."""
        self.is_write_paused = False
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up."""
        self._state.connections.discard(self)
        if self._limit is not None:
            self._limit.remove(self)
        for exchange in (self._current, *self._pipeline):
            if exchange is not None:
                exchange.disconnect()
        self.resume_writing()
        if self._timer is not None:
            self._timer.cancel()
        self._pipeline.clear()
        self._latest = None
        self._reader.close()
        del self._reader

    def shutdown(self) -> None:
        """Close as soon as the requests that have arrived are answered."""
        if self._current is None or self._latest is None:
            self.transport.close()
        else:
            self._latest.keep_alive = False

    # Called by the reader.

    def begin_request(self, scope: Scope, *, keep_alive: bool, expects_continue: bool) -> Exchange:
        """Answer the request as soon as those before it are answered."""
        exchange = Exchange(self, scope, keep_alive=keep_alive, expects_continue=expects_continue)
        self._latest = exchange
        if self._is_half_closed:
            exchange.half_close()
        if self._current is None:
            self._start(exchange)
        else:
            self._pipeline.append(exchange)
            self.pause_reading()
        return exchange

    # Called by exchanges.

    @property
    def date(self) -> bytes:
        """The value of the field Date."""
        return self._state.default_headers[0][1]

    def pause_reading(self) -> None:
        """Let the client wait with sending."""
        if not self._is_read_paused:
            self._is_read_paused = True
            self._regulate_transport()

    def resume_reading(self) -> None:
        """Receive more."""
        if self._is_read_paused and not self._pipeline and not self.transport.is_closing():
            self._is_read_paused = False
            self._read_on()
            self._regulate_transport()

    async def drain(self) -> None:
        """Wait until the client has read most of what was written, or the connection is lost."""
        while self.is_write_paused:
            if self._drained is None:
                self._drained = self.loop.create_future()
            await asyncio.shield(self._drained)

    def end_exchange(self, exchange: Exchange) -> None:
        """Go on after a response: with the next request, or with the end of the connection."""
        self._state.total_requests += 1
        self._current = None
        self.has_served = True
        self._is_unfinished = False
        if exchange.received and exchange is self._latest:
            self._latest = None
        if self.transport.is_closing():
            return
        if not exchange.keep_alive:
            self._say_farewell(exchange)
        else:
            self._since = self.loop.time()
            if self._pipeline:
                self._start(self._pipeline.pop(0))
                self._hurry()
            self.resume_reading()
            if self._is_half_closed and self._current is None:
                self.transport.close()

    # For `connection_limit`.

    @property
    def waiting_since(self) -> float | None:
        """On the event loop's clock, since when there is nothing to answer; None if there is."""
        return None if self._current is not None or self.transport.get_write_buffer_size() else self._since

    def evict(self) -> None:
        """Make room for another connection."""
        self.transport.close()

    def _start(self, exchange: Exchange) -> None:
        self._current = exchange
        task = self.loop.create_task(exchange.run(self._app))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    def _read_on(self) -> None:
        while self._unread and not self._is_read_paused and not self._is_broken:
            data, self._unread = self._unread[:SLICE_BYTES], self._unread[SLICE_BYTES:]
            self._read(data)

    def _regulate_transport(self) -> None:
        """Receive more, or nothing more. A paused transport does not notice that the client goes away."""
        has_enough = not self._pipeline or len(self._unread) > SLICE_BYTES
        should_pause = self._is_read_paused and has_enough
        if should_pause:
            self._hurry()
        if should_pause != self._is_transport_paused and not self._is_half_closed:
            self._is_transport_paused = should_pause
            if should_pause:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def _hurry(self) -> None:
        """Let the current request not wait if so much has arrived behind it that a client's leave is not noticed."""
        if self._current is not None and self._current.received and len(self._unread) > SLICE_BYTES:
            self._current.hurry()

    def _read(self, data: bytes | memoryview) -> None:
        try:
            self._reader.feed(data)
        except Problem as problem:
            self._is_broken = True
            if self._reader.in_head:
                self._refuse(problem)
            else:
                assert self._latest is not None, "a body belongs to a request"
                self._latest.fail(problem)
        if self._latest is None or not self._latest.received:
            self._note_unfinished()

    def _refuse(self, problem: Problem) -> None:
        """Answer instead of a request that cannot be read, and close."""
        self._is_broken = True
        method, raw_path = self._reader.describe()
        scope: Scope = {**self._base, "http_version": "1.1", "method": method, "query_string": b"", "headers": []}
        scope.update({"path": "", "raw_path": raw_path, FIELDS: {}, REFUSAL: problem})  # No route has this path.
        self.begin_request(scope, keep_alive=False, expects_continue=False).end_body()

    def _say_farewell(self, exchange: Exchange) -> None:
        """Close. If the client may still be sending, only end the response, and read on for a while."""
        if self._is_half_closed or (exchange.received and not self._is_broken and not self._is_read_paused):
            self.transport.close()
            return
        self._farewell_bytes = self._deadlines.farewell_bytes
        self._since = self.loop.time()
        self._pipeline.clear()
        self._unread = memoryview(b"")
        self.transport.write_eof()
        self.resume_reading()
        self._set_timer(self._deadlines.silence_seconds)

    def _note_unfinished(self) -> None:
        if not self._is_unfinished:
            self._is_unfinished = True
            self._since = self.loop.time()
            self._set_timer(self._deadlines.head_seconds)

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._check_deadlines)

    def _check_deadlines(self) -> None:
        """End what has taken too long, or come back when it will have.

        A timer that was set for an earlier wait keeps running, so that most requests need not touch it.
        """
        deadlines, transport = self._deadlines, self.transport
        before, self._mark = self._mark, None
        if unsent_bytes := transport.get_write_buffer_size():
            self._mark = (transport, unsent_bytes)
            if self._mark == before:
                transport.abort()
            self._set_timer(deadlines.unsent_seconds)
        elif transport.is_closing():
            self._timer = None
        elif self._farewell_bytes is not None:
            self._mark = (deadlines, self._farewell_bytes)
            if self._mark == before or self._waited_seconds >= deadlines.farewell_seconds:
                transport.close()
            self._set_timer(deadlines.silence_seconds)
        elif self._current is not None:
            self._check_body(before)
            self._set_timer(deadlines.body_seconds)
        else:
            self._check_head()

    def _check_body(self, before: tuple[object, int] | None) -> None:
        latest = self._latest
        if latest is None or latest.received or self._is_read_paused or self._is_broken:
            return
        self._mark = (latest, latest.received_bytes)
        least_bytes, seconds = self._deadlines.body_bytes, self._deadlines.body_seconds
        if before is not None and before[0] is latest and latest.received_bytes - before[1] < least_bytes:
            self._is_broken = True
            latest.fail(Problem(TOO_SLOW, f"less than {least_bytes} bytes of the body arrived in {seconds:g} s"))

    def _check_head(self) -> None:
        deadlines = self._deadlines
        is_head_due = self._is_unfinished or not self.has_served
        seconds_left = (deadlines.head_seconds if is_head_due else deadlines.idle_seconds) - self._waited_seconds
        if seconds_left > 0:
            self._set_timer(seconds_left)
        elif self._is_unfinished:
            self._refuse(Problem(TOO_SLOW, f"the request's head did not arrive in {deadlines.head_seconds:g} s"))
            self._set_timer(deadlines.body_seconds)
        else:
            self.transport.close()

    @property
    def _waited_seconds(self) -> float:
        return self.loop.time() - self._since
