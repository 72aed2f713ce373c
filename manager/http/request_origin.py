"""Where a request comes from, and what it is called: the client's address and the request's id, for logs.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import ipaddress
import itertools
import re
import secrets
from collections.abc import Iterable, Mapping
from functools import lru_cache

from manager.http.asgi import FIELDS, Scope

REQUEST_ID = "workmanager.request_id"
"""Key of the scope: the request's id, as bytes."""
JOB_ID = "workmanager.job_id"
"""Key of the scope: the id of the job that the request has submitted, if it has submitted one."""
PROXIES = "workmanager.proxies"
"""Key of the scope: the `TrustedProxies`."""
UNKNOWN_ADDRESS = "-"

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._:+/=@-]{1,128}")
_PORT = re.compile(r"\[(.*)\](?::\d+)?|([^:]*):\d+")


class RequestIds:
    """Gives each request an id: the one that it brings, or a new one that no other request of any manager has."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6).encode()
        self._next = itertools.count(1).__next__

    def of(self, fields: Mapping[bytes, bytes]) -> bytes:
        """Return the id of a request with these header fields."""
        given = fields.get(b"x-request-id")
        if given is not None and _WELL_FORMED.fullmatch(given):
            return given
        return b"%b-%x" % (self._prefix, self._next())


class TrustedProxies:
    """The proxies that are believed whom they forward a request for (the field X-Forwarded-For).

    Args:
        networks: their addresses or networks, such as `10.0.0.0/16`.

    Raises:
        ValueError: one of them is neither.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(text) for text in networks]
        self._trusts = lru_cache(4096)(self._find)

    def client_of(self, scope: Scope) -> str:
        """Return the address of a request's client: the last one on its way here that is no trusted proxy."""
        client = scope.get("client")
        address: str = client[0] if client else UNKNOWN_ADDRESS
        if not self._networks or not self._trusts(address):
            return address
        forwarded: bytes = scope[FIELDS].get(b"x-forwarded-for", b"")
        # Each proxy adds the address that it was called from at the end. What a client has written stands in front.
        for entry in reversed(forwarded.decode("latin-1").split(",")):
            earlier = _address_of(entry.strip())
            if earlier is None:
                break
            address = earlier
            if not self._trusts(address):
                break
        return address

    def _find(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self._networks)


def _address_of(entry: str) -> str | None:
    """Return the address in an entry of X-Forwarded-For, which can have a port; None if there is none."""
    match = _PORT.fullmatch(entry)
    try:
        return str(ipaddress.ip_address((match[1] or match[2]) if match else entry))
    except ValueError:
        return None
