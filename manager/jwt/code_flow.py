"""Sign people in at the issuer: OpenID Connect's authorization code flow, with PKCE (RFC 7636).

A browser is sent to the issuer with a state, a nonce and a challenge, which are all made of one secret that the browser
alone keeps. So any manager can go on when it comes back, and nothing is stored.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import httpx

from manager.api_keys.caller import Caller
from manager.api_keys.record import SCOPES
from manager.jwt.claims import subject_id
from manager.jwt.discovery import Endpoints, open_issuer_client
from manager.jwt.errors import IssuerUnavailable, SignInRefused, TokenRefused
from manager.jwt.issuer import Issuer
from manager.jwt.issuer_call import CALL_TIMEOUT_SECONDS, call_issuer
from manager.jwt.verifier import JwtVerifier

MAX_SHOWN_CHARACTERS = 200
"""Of what the issuer says of an error."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody's attempt to sign in.

    Attributes:
        secret: what all else is made of.
        redirect_url: where the issuer sends the browser back to.
    """

    secret: str
    redirect_url: str

    @classmethod
    def begin(cls, redirect_url: str) -> "Attempt":
        """Return a new one."""
        return cls(secrets.token_urlsafe(32), redirect_url)

    @property
    def state(self) -> str:
        """What the browser must bring back: another site cannot have somebody sign in with a code of its own."""
        return self._derive("state")

    @property
    def nonce(self) -> str:
        """What the ID token must name: it was made for this attempt."""
        return self._derive("nonce")

    @property
    def verifier(self) -> str:
        """What the code is exchanged with: whoever has seen the code alone cannot do it."""
        return self._derive("verifier")

    @property
    def challenge(self) -> str:
        """What the issuer checks the verifier with."""
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())

    def _derive(self, purpose: str) -> str:
        return _base64url(hmac.digest(self.secret.encode(), purpose.encode(), "sha256"))


class CodeFlow:
    """Signs people in.

    Args:
        verifier: knows where, and verifies what the issuer says.
    """

    def __init__(self, issuer: Issuer, verifier: JwtVerifier) -> None:
        self.issuer = issuer
        self._verifier = verifier
        self._opened: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()

    def page_of(self, attempt: Attempt) -> str:
        """Return the address of the issuer's page.

        Raises:
            IssuerUnavailable: it is not known.
        """
        given = {
            "response_type": "code",
            "client_id": self.issuer.client_id,
            "redirect_uri": attempt.redirect_url,
            "scope": self.issuer.requested_scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return str(httpx.URL(self._endpoints().authorization_url).copy_merge_params(given))

    async def finish(self, attempt: Attempt, brought: Mapping[str, str]) -> Caller:
        """Return whom the issuer has signed in.

        Args:
            brought: the query with which the browser has come back.

        Raises:
            SignInRefused: it has signed in nobody, or somebody who may do nothing here.
            IssuerUnavailable: it does not answer.
        """
        host = self.issuer.host
        if not hmac.compare_digest(brought.get("state", "").encode(), attempt.state.encode()):
            raise SignInRefused("This answer belongs to another attempt to sign in. Try again.")
        if brought.get("iss", self.issuer.url) != self.issuer.url:
            raise SignInRefused(f"This answer is not from {host}. Try again.")
        if "code" not in brought:
            raise SignInRefused(f"{host} has not signed you in: {_error_of(brought)}.")
        tokens = await self._exchange(attempt, brought["code"])
        try:
            return self._caller(tokens, attempt.nonce)
        except TokenRefused as error:
            reason = f"{host} has signed you in, but its token is not accepted here: {error}."
            raise SignInRefused(f"{reason} Tell whoever administers this manager.") from error

    async def stop(self) -> None:
        """Close the connections to the issuer."""
        if self._opened is not None:
            await self._opened.aclose()

    def _endpoints(self) -> Endpoints:
        endpoints = self._verifier.endpoints
        if endpoints is None:
            raise IssuerUnavailable("it has not told yet where people sign in")
        return endpoints

    async def _exchange(self, attempt: Attempt, code: str) -> Mapping[str, Any]:
        """Return the tokens that the issuer gives for the code."""
        issuer, endpoints = self.issuer, self._endpoints()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.redirect_url,
            "code_verifier": attempt.verifier,
        }
        auth = None
        if issuer.client_secret and endpoints.takes_basic:
            # Both are encoded as in forms first (RFC 6749, section 2.3.1).
            auth = httpx.BasicAuth(*(quote_plus(each) for each in (issuer.client_id, issuer.client_secret)))
        else:
            form["client_id"] = issuer.client_id
            if issuer.client_secret:
                form["client_secret"] = issuer.client_secret
        client = await self._client()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                status, answer = await call_issuer(client, "POST", endpoints.token_url, data=form, auth=auth)
        except TimeoutError as error:
            raise IssuerUnavailable(f"no answer within {CALL_TIMEOUT_SECONDS:g} s") from error
        if status != httpx.codes.OK:
            raise SignInRefused(f"{issuer.host} has given no token: {_error_of(answer)}. Try again.")
        return answer

    async def _client(self) -> httpx.AsyncClient:
        async with self._opening:
            if self._opened is None:
                self._opened = await open_issuer_client(self.issuer)
            return self._opened

    def _caller(self, tokens: Mapping[str, Any], nonce: str) -> Caller:
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not (isinstance(id_token, str) and isinstance(access_token, str)):
            raise TokenRefused("there is no ID token, or no access token")
        claims = self._verifier.read_id_token(id_token.encode())
        if not hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()):
            raise TokenRefused("it was made for another attempt to sign in (its claim nonce)")
        if claims.get("azp", self.issuer.client_id) != self.issuer.client_id:
            raise TokenRefused("it was made for another client (its claim azp)")
        # What a person may do here is what the same token allows at the API.
        caller = self._verifier.find(access_token.encode())
        if caller.key_id != subject_id(claims["sub"]):
            raise TokenRefused("its two tokens name different people")
        if not caller.scopes:
            reason = f"{self.issuer.host} has signed you in, but allows you nothing here"
            names = ", ".join(SCOPES)
            raise SignInRefused(f"{reason}: your token has none of the scopes {names}. Ask whoever administers it.")
        return caller


def _error_of(answer: Mapping[str, Any]) -> str:
    """Return what an answer of the issuer says of an error (RFC 6749, sections 4.1.2.1 and 5.2)."""
    code, description = answer.get("error"), answer.get("error_description")
    text = f"{code}, {description}" if code and description else str(code or "it does not say why")
    return "".join(each if each.isprintable() else " " for each in text[:MAX_SHOWN_CHARACTERS]).rstrip(". ")


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
