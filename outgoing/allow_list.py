"""The list of `WORKMANAGER_HTTP_ALLOW`: what may be called although its address is not public."""

import re
from dataclasses import dataclass
from ipaddress import ip_network

from outgoing.addresses import Address, Network, as_connected

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*")
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
"""A host that programs read as an IPv4 address: its last label is a number (WHATWG URL, host parsing)."""
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one entry permits. Exactly one of `name`, `domain` and `network` is set."""

    port: int | None
    name: str = ""
    domain: str = ""
    network: Network | None = None

    def permits(self, host: str, port: int, address: Address) -> bool:
        if self.port not in (None, port):
            return False
        if self.network is not None:
            return address in self.network or as_connected(address) in self.network
        return host == self.name if self.name else host.endswith(self.domain)


@dataclass(frozen=True, slots=True)
class AllowList:
    """Hosts, domains and networks, each with a port or for all ports."""

    entries: tuple[_Entry, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "AllowList":
        """Read a list such as `printer.lan:631, *.example.internal, 10.1.0.0/16, [fd12::1]:8080`.

        `*.example.internal` is every name beneath that domain, but not the domain itself. A network permits every name
        that leads into it.

        Raises:
            ValueError: an entry is none of these; the message names it.
        """
        return cls(tuple(_parse_entry(part.strip().lower()) for part in text.split(",") if part.strip()))

    def permits(self, host: str, port: int, address: Address) -> bool:
        """Return whether an entry names the host as the URL has it, or the address that it leads to."""
        name = host.lower().removesuffix(".")
        return any(entry.permits(name, port, address) for entry in self.entries)


def _parse_entry(text: str) -> _Entry:
    if "//" in text:
        raise ValueError(f"{text!r} is a URL; give its host, or HOST:PORT")
    if (network := _network(text)) is not None:
        return _Entry(None, network=network)
    target, port = _split_port(text)
    if (network := _network(target.removeprefix("[").removesuffix("]"))) is not None:
        return _Entry(port, network=network)
    name = target.removeprefix("*.").removesuffix(".")
    if not _NAME.fullmatch(name) or _NUMERIC.fullmatch(name):
        raise ValueError(
            f"{text!r} is not a host name (in ASCII), *.DOMAIN, IP address or network such as 10.1.0.0/16,"
            " each also with :PORT"
        )
    return _Entry(port, domain=f".{name}") if target.startswith("*.") else _Entry(port, name=name)


def _network(text: str) -> Network | None:
    try:
        return ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            raise ValueError(f"{text!r} has bits set behind its prefix; the network is {_masked(text)}") from error
        return None


def _masked(text: str) -> str:
    return str(ip_network(text, strict=False))


def _split_port(text: str) -> tuple[str, int | None]:
    target, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text, None
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= _MAX_PORT):
        raise ValueError(f"{text!r}: {port!r} is not a port (1 to {_MAX_PORT})")
    return target, int(port)
