"""Check the URL of a callback when a job is submitted, as far as that needs no name server.

Every address is judged again when a connection is opened (`outgoing.guard`).
"""

import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from jobqueue.callbacks.entry import LISTENER_PREFIX
from outgoing.guard import AddressRefused, Guard
from outgoing.resolve import resolve

MAX_URL_CHARACTERS = 2048
LISTENER_PATTERN = "[A-Za-z0-9_.-]{1,64}"
URL_PATTERN = "(?:[Hh][Tt][Tt][Pp][Ss]?://|listen:)[!-~]+"
"""What a URL looks like, for the OpenAPI document: `listen:NAME` names a listener (`workmanager listen`)."""
PORTS = {"http": 80, "https": 443}

_CHARACTERS = re.compile(r"[!-~]+")
_LISTENER = re.compile(f"listen:({LISTENER_PATTERN})", re.ASCII)
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*\.?", re.ASCII)
_MAX_HOST_CHARACTERS = 253


@dataclass(frozen=True, slots=True)
class Target:
    """Where a callback goes.

    Attributes:
        host: host and port, or `listen/NAME`: callbacks to one host share its limits.
    """

    url: str
    host: str


def check_target(url: str, guard: Guard) -> Target:
    """Return where a callback with this URL goes.

    Raises:
        ValueError: the URL is not valid, or its address not permitted; the message says why, and repeats no secret.
    """
    if listener := _LISTENER.fullmatch(url):
        return Target(url, LISTENER_PREFIX + listener[1])
    host, port = _host_and_port(url)
    try:
        guard.check(host, port, _literal_addresses(host, port))
    except AddressRefused as error:
        raise ValueError(str(error)) from error
    return Target(url, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


@lru_cache(maxsize=1024)
def _host_and_port(url: str) -> tuple[str, int]:
    if len(url) > MAX_URL_CHARACTERS:
        raise ValueError(f"must not exceed {MAX_URL_CHARACTERS} characters")
    if not _CHARACTERS.fullmatch(url):
        raise ValueError("must be ASCII without spaces: encode other characters as %XX, and a host's name as xn--…")
    try:
        parts = urlsplit(url)
        host, port, scheme = parts.hostname or "", parts.port, parts.scheme
    except ValueError as error:
        raise ValueError("is not a valid URL") from error
    if scheme not in PORTS or not parts.netloc:
        raise ValueError("must begin with http:// or https://, or be listen:NAME")
    if "@" in parts.netloc or "\\" in url:
        raise ValueError("must not have a user name, a password or a backslash")
    is_name = len(host) <= _MAX_HOST_CHARACTERS and _HOST.fullmatch(host) is not None
    if not (is_name or (":" in host and "%" not in host and _is_ipv6(host))):
        raise ValueError("has no valid host")
    if port == 0:
        raise ValueError("has no valid port")
    return host, port or PORTS[scheme]


def _literal_addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host that is one, in any form, or is known without a name server."""
    name = host.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return ["127.0.0.1"]
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []
    return resolve(host, port, None)


def _is_ipv6(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, host)
    except OSError:
        return False
    return True
