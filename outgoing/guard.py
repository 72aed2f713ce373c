"""Decide whether a connection may be opened. The client asks for each one, with the addresses it is about to use."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from outgoing.addresses import Address, is_metadata, not_public
from outgoing.allow_list import AllowList


class AddressRefused(Exception):
    """A host leads to an address that may not be called. The message says which setting permits it, if one does."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Permits public addresses, and what the operator's list names.

    Attributes:
        setting: the variable of the list, for messages.
    """

    allowed: AllowList
    setting: str

    @classmethod
    def from_setting(cls, setting: str, text: str) -> "Guard":
        """Return the guard that a variable's value describes.

        Raises:
            ValueError: the value is not a list of hosts and networks; the message names the variable.
        """
        try:
            return cls(AllowList.parse(text), setting)
        except ValueError as error:
            raise ValueError(f"{setting}: {error}") from error

    def check(self, host: str, port: int, addresses: Iterable[str]) -> None:
        """Check every address that the host's name has: one that is not permitted spoils all.

        Raises:
            AddressRefused: the host has such an address.
        """
        for text in addresses:
            address = ip_address(text)
            reason = self._reason(host, port, address)
            if reason:
                # Not the address of a name: it would tell the caller how the network inside is built.
                subject = f"{host!r} is" if _is_address(host) else f"{host!r} has"
                raise AddressRefused(f"{subject} {reason}")

    def _reason(self, host: str, port: int, address: Address) -> str:
        """Return why the address is refused; '' if it is permitted."""
        if getattr(address, "scope_id", None):
            return "an address with a zone, which is never called"
        if is_metadata(address):
            return "a link-local or cloud metadata address, which is never called"
        kind = not_public(address)
        if not kind or self.allowed.permits(host, port, address):
            return ""
        entry = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"{kind}, and only public addresses are called; to permit it, add {entry} to {self.setting}"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
