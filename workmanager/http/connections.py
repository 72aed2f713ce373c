"""Connections to managers, kept open between requests. Failover and retries are the transport's.

They are the standard library's: a command waits for its first answer, and importing httpx takes longer than everything
else that it does until then (ADR 44).
"""

import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import NamedTuple

from workmanager.http.addresses import Address, find_address, trusted_authorities
from workmanager.http.answer import Answer, NoAnswer
from workmanager.http.body import length_field, split

IDLE_SECONDS = 5.0
"""A connection that was idle for longer is not used again: the manager may be about to close it."""
MAX_IDLE = 20
"""Connections to one manager that are kept."""
SELECTOR = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""The default one opens a file, which fails if the process has as many as it may."""


class SyncAnswer(Answer):
    """An answer whose body may still be to come."""

    def __init__(self, url: str, response: HTTPResponse, connection: HTTPConnection) -> None:
        super().__init__(url, response.status, dict(response.headers.items()))
        self._response = response
        self._connection = connection

    def iter_lines(self) -> Iterator[str]:
        """Yield the lines of the body as they come; a last one without its end broke off, and is left out.

        Raises:
            NoAnswer: the connection broke, or was silent for too long.
        """
        try:
            for line in self._response:
                if line.endswith(b"\n"):
                    yield line.decode(errors="replace").rstrip("\r\n")
        except (OSError, HTTPException) as error:
            raise NoAnswer(error, sent=True) from error

    def close(self) -> None:
        """Give up what is left of the body."""
        self._response.close()
        self._connection.close()


class Connections:
    """Sends requests to some managers. Thread-safe; a forked process opens connections of its own."""

    def __init__(
        self, urls: Sequence[str], headers: Mapping[str, str], *, connect_seconds: float, use_proxies: bool = True
    ) -> None:
        """Open no connection yet.

        Args:
            urls: the managers' base addresses.
            headers: of every request.
            connect_seconds: how long opening a connection may take.
            use_proxies: go through the proxies that the environment names.

        Raises:
            UsageError: an address, or what the environment says of the way there, cannot be used.
        """
        addresses = [find_address(url, use_proxies=use_proxies) for url in urls]
        tls = trusted_authorities() if any(address.is_tls for address in addresses) else None
        self._hosts = [_Host(address, connect_seconds, tls) for address in addresses]
        self._headers = headers

    def close(self) -> None:
        for host in self._hosts:
            host.close()

    def send(
        self,
        manager: int,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout_seconds: float,
        stream: bool = False,
    ) -> SyncAnswer:
        """Send one request, and return what the manager answers.

        Args:
            manager: its place in `urls`.
            path: with the query, in ASCII.
            timeout_seconds: how long the manager may be silent, and take no piece of the body.
            stream: leave the body of a success to `iter_lines`. The caller closes the answer.

        Raises:
            NoAnswer: there is none.
        """
        host = self._hosts[manager]
        fields = {**self._headers, **host.headers, **headers, **length_field(content)}
        body = None if content is None else split(content)
        connection = host.take()
        try:
            connection.sock.settimeout(timeout_seconds)
            # A refusal can come before the whole body is sent, and the connection be closed behind it.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, host.target(path), body, fields)
            response = connection.getresponse()
            answer = SyncAnswer(host.address.url + path, response, connection)
            if stream and answer.is_success:
                return answer
            answer.content = response.read()
        except (OSError, HTTPException) as error:
            connection.close()
            raise NoAnswer(error, sent=True) from error
        except BaseException:
            connection.close()
            raise
        host.keep(connection)
        return answer


class _Idle(NamedTuple):
    """A connection that waits for its next request.

    Attributes:
        since: when its last answer was read, of `time.monotonic`.
        process: whose connection it is. A fork that used it, too, could get the other's answer.
    """

    connection: HTTPConnection
    since: float
    process: int

    @property
    def is_usable(self) -> bool:
        """Whether a request may be sent on it."""
        is_fresh = time.monotonic() - self.since < IDLE_SECONDS
        return is_fresh and self.process == os.getpid() and _is_quiet(self.connection.sock)


class _Host:
    """The connections to one manager, or to the proxy in front of it."""

    def __init__(self, address: Address, connect_seconds: float, tls: ssl.SSLContext | None) -> None:
        self.address = address
        self._connect_seconds = connect_seconds
        self._tls = tls
        self._idle: list[_Idle] = []
        """The latest is last."""
        self._lock = threading.Lock()

    @property
    def headers(self) -> Mapping[str, str]:
        """The fields that every request needs here. A tunnel through a proxy is opened with the proxy's."""
        proxy = self.address.proxy
        return self.address.credentials | (proxy.credentials if proxy and not self.address.is_tls else {})

    def target(self, path: str) -> str:
        """Return what a request names: a proxy needs the whole URL, unless it tunnels."""
        if self.address.proxy is None or self.address.is_tls:
            return self.address.path + path
        return f"{self.address.origin}{self.address.path}{path}"

    def take(self) -> HTTPConnection:
        """Return an open connection.

        Raises:
            NoAnswer: none can be opened.
        """
        while idle := self._pop():
            if idle.is_usable:
                return idle.connection
            idle.connection.close()
        connection = self._new()
        try:
            connection.connect()
        except (OSError, HTTPException) as error:
            connection.close()
            raise NoAnswer(error, sent=False) from error
        return connection

    def keep(self, connection: HTTPConnection) -> None:
        """Keep a connection whose answer was read."""
        if connection.sock is None:  # The manager closes it.
            return
        with self._lock:
            is_kept = len(self._idle) < MAX_IDLE
            if is_kept:
                self._idle.append(_Idle(connection, time.monotonic(), os.getpid()))
        if not is_kept:
            connection.close()

    def close(self) -> None:
        while idle := self._pop():
            idle.connection.close()

    def _pop(self) -> _Idle | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _new(self) -> HTTPConnection:
        address, first = self.address, self.address.proxy or self.address
        if self._tls is None or not address.is_tls:
            return HTTPConnection(first.host, first.port, timeout=self._connect_seconds)
        connection = HTTPSConnection(first.host, first.port, timeout=self._connect_seconds, context=self._tls)
        if address.proxy is not None:
            connection.set_tunnel(address.host, address.port, dict(address.proxy.credentials))
        return connection


def _is_quiet(sock: socket.socket) -> bool:
    """Return whether nothing has come on an idle connection: what comes unasked is its end."""
    with SELECTOR() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return not selector.select(0)
