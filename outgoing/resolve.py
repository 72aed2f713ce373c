"""Look up the addresses of a host, once."""

import socket
import threading
from collections.abc import Iterable
from typing import Any


def resolve(host: str, port: int, timeout_seconds: float | None) -> list[str]:
    """Return the addresses of a host as text, in the order of the system. IPv4 can have any form, such as `0x7f.1`.

    Raises:
        OSError: the name is not known, or the name server does not answer.
        TimeoutError: there is no answer in time.
        UnicodeError: this cannot be a host's name.
    """
    try:
        return _texts(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST))
    except socket.gaierror:
        pass  # a name
    if timeout_seconds is None:
        return _texts(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    # The system's resolver knows no deadline: with two silent name servers, it takes 20 s.
    lookup = _Lookup(host, port)
    lookup.start()
    lookup.join(timeout_seconds)
    if lookup.is_alive():
        raise TimeoutError(f"no name server told the address of {host!r} in time")
    if lookup.error is not None:
        raise lookup.error
    return _texts(lookup.found)


class _Lookup(threading.Thread):
    """One query to the system's resolver."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="resolve", daemon=True)
        self._host = host
        self._port = port
        self.found: list[tuple[Any, ...]] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.found = list(socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            self.error = error


def _texts(found: Iterable[tuple[Any, ...]]) -> list[str]:
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
