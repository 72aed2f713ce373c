"""The issuer whose tokens a manager takes, as the settings describe it."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from manager.settings import ManagerSettings
from outgoing.allow_list import AllowList
from outgoing.guard import Guard

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer, and what its tokens must say.

    Attributes:
        url: their claim `iss`, and the beginning of the discovery document's address.
        audience: what their claim `aud` must be, or have among others.
        scope_claim: the claim that names their scopes.
        queues_claim: the claim that names the queues that they are bound to; '' if tokens are not bound.
        client_id: what managers are called there, when people sign in; '' if they cannot.
        client_secret: proves that they are; '' if the issuer asks for none.
        requested_scopes: what they ask for when somebody signs in.
        guard: permits calls to public addresses, and to the issuer's own host whatever its address is.
    """

    url: str
    audience: str
    scope_claim: str
    queues_claim: str
    client_id: str
    client_secret: str = field(repr=False)
    requested_scopes: str
    guard: Guard

    @classmethod
    def from_settings(cls, settings: ManagerSettings) -> "Issuer | None":
        """Return the issuer; None if the settings name none.

        Raises:
            ValueError: the issuer's URL is not one.
        """
        if not settings.oidc_issuer:
            return None
        return cls(
            settings.oidc_issuer,
            settings.oidc_audience,
            settings.oidc_scope_claim,
            settings.oidc_queues_claim,
            settings.oidc_client_id,
            settings.oidc_client_secret,
            settings.oidc_request_scopes,
            Guard(AllowList.parse(_checked_host(settings.oidc_issuer)), "WORKMANAGER_OIDC_ISSUER"),
        )

    @property
    def host(self) -> str:
        """What people call it."""
        return urlsplit(self.url).netloc

    @property
    def discovery_url(self) -> str:
        """Where it describes itself (OpenID Connect Discovery 1.0, section 4)."""
        return f"{self.url.rstrip('/')}/.well-known/openid-configuration"

    def may_be_at(self, url: object) -> bool:
        """Return whether what it publishes may be there: with TLS, unless the issuer itself goes without it."""
        return isinstance(url, str) and url.startswith(("https://", f"{urlsplit(self.url).scheme}://"))


def _checked_host(url: str) -> str:
    """Return host and port of an issuer's URL.

    Raises:
        ValueError: this is not such a URL.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if not host or parts.scheme not in _PORTS or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be a URL such as https://login.example.com/realm, without user, query and fragment")
    if parts.scheme == "http" and host not in _LOOPBACK:
        # Whoever is on the way could exchange the keys, and then sign tokens.
        raise ValueError("must begin with https://, unless the issuer is on this machine")
    port = parts.port or _PORTS[parts.scheme]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
