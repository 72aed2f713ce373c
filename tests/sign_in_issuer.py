"""An issuer at which people sign in: authorization code flow with PKCE, as RFC 6749 and RFC 7636 have it."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

from tests.token_issuer import DISCOVERY_PATH, KEYS_PATH, TokenIssuer, sign

CLIENT_ID, CLIENT_SECRET = "the dashboard", "a secret: of the client+"
AUTHORIZE_PATH, TOKEN_PATH = "/authorize", "/token"


@dataclass
class Person:
    """Who is at the browser.

    Attributes:
        refuses: whether they do not agree to sign in.
        is_asked: whether a page with a link asks them; else they are led back at once.
        claims: what their access token says besides who they are.
        id_claims: what their ID token says besides.
    """

    subject: str = "alice"
    refuses: bool = False
    is_asked: bool = False
    claims: dict[str, Any] = field(default_factory=lambda: {"scope": "openid jobs:read"})
    id_claims: dict[str, Any] = field(default_factory=dict)


class SignInIssuer(TokenIssuer):
    """The issuer. It knows one person, who is signed in there already, and one client.

    Attributes:
        methods: how the client may name itself.
        asked: the parameters of the last request for a code.
    """

    def __init__(self) -> None:
        super().__init__()
        self.person = Person()
        self.methods = ["client_secret_basic"]
        self.asked: dict[str, str] = {}
        self._codes: dict[str, dict[str, str]] = {}

    def __enter__(self) -> "SignInIssuer":
        super().__enter__()
        self.describe()
        return self

    def describe(self) -> None:
        """Serve the discovery document."""
        document = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}{KEYS_PATH}",
            "authorization_endpoint": f"{self.url}{AUTHORIZE_PATH}?realm=jobs",
            "token_endpoint": f"{self.url}{TOKEN_PATH}",
            "token_endpoint_auth_methods_supported": self.methods,
        }
        self.serve(DISCOVERY_PATH, document)

    def answer(self, path: str, content: bytes, authorization: str | None) -> tuple[int, bytes, str]:
        """See `TokenIssuer`."""
        parts = urlsplit(path)
        if parts.path == AUTHORIZE_PATH:
            back = self._authorize(_single(parts.query))
            page = f'<!doctype html><title>Sign in</title><a id="agree" href="{escape(back)}">I agree</a>'
            return (200, page.encode(), "") if self.person.is_asked else (302, b"", back)
        if parts.path == TOKEN_PATH:
            status, document = self._give_tokens(_single(content.decode()), authorization or "")
            return status, json.dumps(document).encode(), ""
        return super().answer(path, content, authorization)

    def _authorize(self, asked: dict[str, str]) -> str:
        """Return where the browser is sent with a code."""
        self.asked = asked
        brought = {"state": asked["state"], "iss": self.url, "session_state": "of the issuer"}
        if self.person.refuses:
            brought |= {"error": "access_denied", "error_description": "<b>no</b>"}
        else:
            code = secrets.token_urlsafe()
            self._codes[code] = asked
            brought["code"] = code
        return f"{asked['redirect_uri']}?{urlencode(brought)}"

    def _give_tokens(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, str]]:
        basic = base64.b64encode(f"{quote_plus(CLIENT_ID)}:{quote_plus(CLIENT_SECRET)}".encode()).decode()
        named = form.get("client_id"), form.get("client_secret")
        is_client = authorization == f"Basic {basic}" if "client_secret_basic" in self.methods else False
        if not is_client and ("client_secret_post" not in self.methods or named != (CLIENT_ID, CLIENT_SECRET)):
            return 401, {"error": "invalid_client"}
        asked = self._codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        if asked is None or (asked["redirect_uri"], asked["code_challenge"], asked["code_challenge_method"]) != (
            *(form["redirect_uri"], challenge.decode()),
            "S256",
        ):
            return 400, {"error": "invalid_grant", "error_description": "the code is not valid"}
        person = self.person
        identity = {"sub": person.subject, "aud": asked["client_id"], "nonce": asked["nonce"]} | person.id_claims
        return 200, {
            "token_type": "Bearer",
            "access_token": sign(self.key, self.url, {"sub": person.subject} | person.claims),
            "id_token": sign(self.key, self.url, identity),
        }


def _single(text: str) -> dict[str, str]:
    found = parse_qs(text, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values()), f"a parameter is repeated: {text}"
    return {name: values[0] for name, values in found.items()}
