"""Fetch what an issuer publishes: its discovery document (OpenID Connect Discovery 1.0), and the key set it names."""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any

import httpx
from joserfc.jwk import KeySet

from manager.jwt.errors import IssuerUnavailable
from manager.jwt.issuer import Issuer
from manager.jwt.issuer_call import CALL_TIMEOUT_SECONDS, HEADERS, call_issuer
from manager.jwt.verification import read_key_set
from outgoing.async_client import open_async_client


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where people sign in.

    Attributes:
        authorization_url: the page that a browser is sent to.
        token_url: what gives tokens for the code that the browser brings back.
        takes_basic: whether a client may name itself there with HTTP's Basic authentication.
    """

    authorization_url: str
    token_url: str
    takes_basic: bool = True


@dataclass(frozen=True, slots=True)
class Published:
    """What an issuer publishes.

    Attributes:
        endpoints: None if nobody can sign in there.
    """

    keys: KeySet
    endpoints: Endpoints | None


async def fetch_published(issuer: Issuer) -> Published:
    """Return what the issuer publishes.

    Raises:
        IssuerUnavailable: it does not answer within `CALL_TIMEOUT_SECONDS`, or not as it must; the message says what
            happened.
    """
    try:
        async with asyncio.timeout(CALL_TIMEOUT_SECONDS), await open_issuer_client(issuer) as client:
            document = await _discover(client, issuer)
            keys = read_key_set(await _get(client, document["jwks_uri"]))
            return Published(keys, _endpoints(document, issuer))
    except TimeoutError as error:
        raise IssuerUnavailable(f"no answer within {CALL_TIMEOUT_SECONDS:g} s") from error


async def open_issuer_client(issuer: Issuer) -> httpx.AsyncClient:
    """Return a client that may call the issuer. Close it."""
    # In a thread: reading the system's authorities takes longer than several requests.
    context = await asyncio.to_thread(ssl.create_default_context)
    return open_async_client(issuer.guard, timeout_seconds=CALL_TIMEOUT_SECONDS, ssl_context=context, headers=HEADERS)


async def _discover(client: httpx.AsyncClient, issuer: Issuer) -> dict[str, Any]:
    document = await _get(client, issuer.discovery_url)
    if document.get("issuer") != issuer.url:
        shown = str(document.get("issuer"))[:200]
        raise IssuerUnavailable(f"{issuer.discovery_url} describes the issuer {shown!r}, not {issuer.url!r}")
    if not issuer.may_be_at(document.get("jwks_uri")):
        raise IssuerUnavailable(f"{issuer.discovery_url} has no jwks_uri that begins with https://")
    return document


def _endpoints(document: dict[str, Any], issuer: Issuer) -> Endpoints | None:
    authorization_url, token_url = document.get("authorization_endpoint"), document.get("token_endpoint")
    if not (issuer.may_be_at(authorization_url) and issuer.may_be_at(token_url)):
        return None
    # Without the list, Basic is what counts (OpenID Connect Discovery 1.0, section 3).
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Endpoints(
        str(authorization_url), str(token_url), isinstance(methods, list) and "client_secret_basic" in methods
    )


async def _get(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    status, document = await call_issuer(client, "GET", url)
    if status != httpx.codes.OK:
        raise IssuerUnavailable(f"{url} answered with status {status}")
    return document
