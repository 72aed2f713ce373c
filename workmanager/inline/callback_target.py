"""Whom a callback of a job tells. Nothing is sent in a test, so the host's addresses are not judged."""

import re
from contextlib import suppress
from ipaddress import IPv6Address
from urllib.parse import urlsplit

_CHARACTERS = re.compile(r"[!-~]+")
_LISTENER = re.compile(r"listen:([A-Za-z0-9_.-]{1,64})", re.ASCII)
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*\.?", re.ASCII)
_MAX_HOST_CHARACTERS = 253
_PORTS = {"http": 80, "https": 443}


def callback_host(url: str) -> str:
    """Return the host and port of a callback's URL, or `listen/NAME`.

    Raises:
        ValueError: the URL is not valid; the message is a manager's.
    """
    if listener := _LISTENER.fullmatch(url):
        return f"listen/{listener[1]}"
    if not _CHARACTERS.fullmatch(url):
        raise ValueError("must be ASCII without spaces: encode other characters as %XX, and a host's name as xn--…")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError("is not a valid URL") from error
    if parts.scheme not in _PORTS or not parts.netloc:
        raise ValueError("must begin with http:// or https://, or be listen:NAME")
    if "@" in parts.netloc or "\\" in url:
        raise ValueError("must not have a user name, a password or a backslash")
    is_name = len(host) <= _MAX_HOST_CHARACTERS and _HOST.fullmatch(host) is not None
    if not (is_name or _is_ipv6(host)):
        raise ValueError("has no valid host")
    if port == 0:
        raise ValueError("has no valid port")
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port or _PORTS[parts.scheme]}"


def _is_ipv6(host: str) -> bool:
    with suppress(ValueError):
        return "%" not in host and bool(IPv6Address(host).packed)
    return False
