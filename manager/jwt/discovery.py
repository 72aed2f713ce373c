"""Fetch an issuer's keys: its discovery document (OpenID Connect Discovery 1.0), then the key set that this names."""

import asyncio
import json
import ssl
from typing import Any

import httpx
from joserfc.jwk import KeySet

from manager.jwt.errors import IssuerUnavailable
from manager.jwt.issuer import Issuer
from manager.jwt.verification import read_key_set
from outgoing.async_client import open_async_client
from outgoing.guard import AddressRefused

FETCH_TIMEOUT_SECONDS = 10.0
"""Of both documents together."""
MAX_DOCUMENT_BYTES = 256 * 1024
# Compressed answers would have to be limited twice.
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


async def fetch_key_set(issuer: Issuer) -> KeySet:
    """Return the issuer's keys.

    Raises:
        IssuerUnavailable: it does not answer, or not as it must; the message says what happened.
    """
    try:
        async with asyncio.timeout(FETCH_TIMEOUT_SECONDS):
            # In a thread: reading the system's authorities takes longer than several requests.
            context = await asyncio.to_thread(ssl.create_default_context)
            async with open_async_client(
                issuer.guard, timeout_seconds=FETCH_TIMEOUT_SECONDS, ssl_context=context, headers=_HEADERS
            ) as client:
                return read_key_set(await _get(client, await _keys_url(client, issuer)))
    except TimeoutError as error:
        raise IssuerUnavailable(f"no answer within {FETCH_TIMEOUT_SECONDS:g} s") from error


async def _keys_url(client: httpx.AsyncClient, issuer: Issuer) -> str:
    document = await _get(client, issuer.discovery_url)
    if document.get("issuer") != issuer.url:
        shown = str(document.get("issuer"))[:200]
        raise IssuerUnavailable(f"{issuer.discovery_url} describes the issuer {shown!r}, not {issuer.url!r}")
    url = document.get("jwks_uri")
    if not issuer.may_have_keys_at(url):
        raise IssuerUnavailable(f"{issuer.discovery_url} has no jwks_uri that begins with https://")
    return str(url)


async def _get(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Return the JSON object at a URL."""
    try:
        value = json.loads(await _read(client, url))
    except AddressRefused as error:
        reason = "its host has no public address, and is not the issuer's own"
        raise IssuerUnavailable(f"{url} is not called: {reason}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise IssuerUnavailable(f"{url}: {type(error).__name__}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise IssuerUnavailable(f"{url} did not answer with JSON") from error
    if not isinstance(value, dict):
        raise IssuerUnavailable(f"{url} did not answer with a JSON object")
    return value


async def _read(client: httpx.AsyncClient, url: str) -> bytes:
    """Return the body of the answer. Redirects are not followed."""
    body = bytearray()
    async with client.stream("GET", url) as response:
        if response.status_code != httpx.codes.OK:
            raise IssuerUnavailable(f"{url} answered with status {response.status_code}")
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_DOCUMENT_BYTES:
                raise IssuerUnavailable(f"{url} answered with more than {MAX_DOCUMENT_BYTES} bytes")
    return bytes(body)
