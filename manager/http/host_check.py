"""Check which host a client asks, and keep web pages of other sites out. Without API keys, nothing else would.

A browser lets any page send requests to any address that its machine can reach, such as `http://127.0.0.1:5000`. It
hides the responses from the page, unless the page's own host name leads to that address (DNS rebinding). The fields
Sec-Fetch-Site and Origin say which page makes a request. Other programs than browsers do not send them.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import ipaddress
from collections.abc import Collection, Mapping

from manager.http.authentication import HEALTH_PATHS
from manager.http.page_origin import check_page
from manager.http.problems import MISDIRECTED, Problem

MAX_KNOWN_HOSTS = 256


class HostCheck:
    """Checks requests.

    Args:
        allowed_hosts: host names and addresses, without a port, that clients may ask for; `*.DOMAIN` for all names in a
            domain. The names of the machine itself (loopback) are always allowed.
        has_keys: whether requests need an API key. If no hosts are named, any is allowed then: a page has no key.
    """

    def __init__(self, allowed_hosts: Collection[str], *, has_keys: bool) -> None:
        self._allowed_hosts = frozenset(name.lower() for name in allowed_hosts)
        self._checks_hosts = bool(allowed_hosts) or not has_keys
        self._checks_pages = not has_keys
        self._known_hosts: set[bytes | None] = set()

    def check(self, path: str, fields: Mapping[bytes, bytes]) -> None:
        """Check a request.

        Raises:
            Problem: 421, the host is not one of this manager; 403, a page of another site makes the request.
        """
        if not self._checks_hosts:
            return
        host = fields.get(b"host")
        if host not in self._known_hosts:
            self._check_host(path, host)
        if self._checks_pages and (b"sec-fetch-site" in fields or b"origin" in fields):
            check_page(fields, host or b"")

    def _check_host(self, path: str, host: bytes | None) -> None:
        # Only programs speak HTTP/1.0 without a host, and health checks name whatever address they were given.
        if host is None or (path in HEALTH_PATHS and not self._checks_pages):
            return
        name = _name_of(host)
        if not (name in self._allowed_hosts or _is_loopback(name) or self._is_in_allowed_domain(name)):
            detail = f"this manager does not answer for the host {name!r}: ask for 127.0.0.1 or localhost"
            raise Problem(MISDIRECTED, f"{detail}, or name the host in WORKMANAGER_ALLOWED_HOSTS")
        if len(self._known_hosts) < MAX_KNOWN_HOSTS:
            self._known_hosts.add(host)

    def _is_in_allowed_domain(self, name: str) -> bool:
        parts = name.split(".")
        return any(".".join(("*", *parts[index:])) in self._allowed_hosts for index in range(1, len(parts)))


def _name_of(host: bytes) -> str:
    """Return the host without its port, in lower case; without the brackets of an IPv6 address."""
    text = host.strip(b" \t").decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].removesuffix(".")


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
