"""Which web page makes a request. Other programs than browsers do not send the fields Sec-Fetch-Site and Origin.

Hot path: see benchmarks/README.md#http_enqueue.
"""

from collections.abc import Mapping

from manager.http.problems import FOREIGN_PAGE, Problem


def check_page(fields: Mapping[bytes, bytes], host: bytes) -> None:
    """Check that no page of another site makes the request.

    Raises:
        Problem: 403.
    """
    site = fields.get(b"sec-fetch-site", b"")
    origin = fields.get(b"origin", b"")
    # Following a link to a page of ours is harmless: whoever set the link cannot read the page.
    follows_link = fields.get(b"sec-fetch-mode") == b"navigate" and fields.get(b"sec-fetch-dest") == b"document"
    is_foreign = site in (b"cross-site", b"same-site") and not (follows_link and not origin)
    # Behind a proxy that ends TLS the schemes differ.
    if is_foreign or (origin and not _is_of(origin, host)):
        raise Problem(FOREIGN_PAGE, "a web page of another site made this request: only pages of this manager may")


def check_own_page(fields: Mapping[bytes, bytes]) -> None:
    """Check that a page of this manager makes the request: for changes that a cookie allows.

    The cookie's SameSite is not enough: for it, every port of a machine is the same site.

    Raises:
        Problem: 403.
    """
    site = fields.get(b"sec-fetch-site")
    # Browsers send Sec-Fetch-Site only to servers with TLS and on the own machine.
    is_own = (
        site == b"same-origin" if site is not None else _is_of(fields.get(b"origin", b""), fields.get(b"host", b""))
    )
    if not is_own:
        raise Problem(FOREIGN_PAGE, "no page of this manager made this request: only they may with a session")


def _is_of(origin: bytes, host: bytes) -> bool:
    return origin.partition(b"://")[2].lower() == host.strip(b" \t").lower()
