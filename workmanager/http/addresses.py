"""Where requests go: managers' addresses, the proxies on the way there, and the authorities that TLS trusts.

The environment says it as it does for other programs: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`,
`SSL_CERT_FILE` and `SSL_CERT_DIR`.
"""

import os
import sys
from base64 import b64encode
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

from workmanager.errors import UsageError

if TYPE_CHECKING:
    import ssl

EXAMPLE_URL = "http://127.0.0.1:5000"
PORTS = {"http": 80, "https": 443}
SAFE_CHARACTERS = "%/:@!$&'()*+,;=?"
"""Of a path or a query, beside letters and digits (RFC 3986); `%` because both may be encoded already."""
THIS_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})
"""Managers here are not reached through a proxy that the environment names."""


class Address(NamedTuple):
    """One manager.

    Attributes:
        url: its base address, as it was given but without user and password, for messages.
        host: in ASCII, as DNS has it.
        path: what stands before the paths of the API, such as `/jobs-api`, in ASCII; often empty.
        credentials: the header field that a user and password in the URL call for.
        proxy: the proxy in front of it; None if it is reached directly.
    """

    url: str
    is_tls: bool
    host: str
    port: int
    path: str
    credentials: dict[str, str]
    proxy: "Address | None" = None

    def __repr__(self) -> str:
        """Return what may stand in a log: not the credentials."""
        return f"Address({self.url!r}, proxy={self.proxy!r})"

    @property
    def origin(self) -> str:
        """The URL up to the port, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_tls else 'http'}://{host}:{self.port}"


def find_address(url: str, *, use_proxies: bool = True) -> Address:
    """Return the address that a URL gives.

    Raises:
        UsageError: it is not http:// or https://, or the environment names a proxy that cannot be used for it.
    """
    address = parse_url(url.rstrip("/"))
    if address is None:
        raise UsageError(f"{url!r} is not a manager URL; give one such as {EXAMPLE_URL}")
    proxy_url = _proxy_url(address) if use_proxies else None
    if proxy_url is None:
        return address
    proxy = parse_url(proxy_url if "://" in proxy_url else f"http://{proxy_url}", "Proxy-Authorization")
    if proxy is None or proxy.is_tls:
        kind = proxy_url.partition("://")[0]
        raise UsageError(
            f"the environment names a proxy of kind {kind!r} for {address.url}; only http:// ones can be used. "
            f"Set NO_PROXY={address.host} to do without it"
        )
    return address._replace(proxy=proxy)


def without_user(url: str) -> str:
    """Return a URL as messages show it: without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def trusted_authorities() -> "ssl.SSLContext":
    """Return the settings of TLS. Reading the certificates takes longer than a request: call it only for https.

    Raises:
        UsageError: the environment names a file that cannot be used.
    """
    import ssl

    file, directory = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not directory:
        import certifi

        file = certifi.where()
    try:
        context = ssl.create_default_context(cafile=file or None, capath=None if file else directory)
    except OSError as error:
        name = "SSL_CERT_FILE" if file else "SSL_CERT_DIR"
        raise UsageError(f"{name}: {file or directory} cannot be used: {error.strerror or error}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def parse_url(url: str, header: str = "Authorization") -> Address | None:
    """Return the address of a URL; None if it is not http:// or https://."""
    try:
        parts = urlsplit(url)
        host, port = _ascii_host(parts.hostname or ""), parts.port
    except ValueError:
        return None
    if not host or parts.scheme not in PORTS or not url.isprintable() or " " in url:
        return None
    port = port or PORTS[parts.scheme]
    path, credentials = quote_path(parts.path), _credentials(parts, header)
    return Address(without_user(url), parts.scheme == "https", host, port, path, credentials)


def _ascii_host(name: str) -> str:
    """Return a host as DNS has it.

    Raises:
        ValueError: no host can have this name.
    """
    # What loads the tables of the codec takes longer than the rest of this module; nearly all names need none.
    is_plain = name.isascii() and all(0 < len(label) < 64 for label in name.removesuffix(".").split("."))
    return name if is_plain else name.encode("idna").decode()


def quote_path(text: str) -> str:
    """Return a path, or a query, with percent-encoding for characters that a request cannot have as they are."""
    return quote(text, safe=SAFE_CHARACTERS)


def _credentials(parts: SplitResult, header: str) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {header: f"Basic {b64encode(pair.encode()).decode()}"}


def _proxy_url(address: Address) -> str | None:
    """Return the proxy that the environment, or the system's settings, name for an address."""
    # Most environments name none, and the module is not needed for anything else.
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    if address.host in THIS_MACHINE or proxy_bypass(f"{address.host}:{address.port}"):
        return None
    proxies = getproxies()
    return proxies.get("https" if address.is_tls else "http") or proxies.get("all") or None
