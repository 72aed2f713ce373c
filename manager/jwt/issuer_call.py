"""One request to an issuer, within bounds of size. Redirects are not followed."""

import json
from typing import Any

import httpx

from manager.jwt.errors import IssuerUnavailable
from outgoing.guard import AddressRefused

CALL_TIMEOUT_SECONDS = 10.0
MAX_DOCUMENT_BYTES = 256 * 1024
# Compressed answers would have to be limited twice.
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


async def call_issuer(client: httpx.AsyncClient, method: str, url: str, **options: Any) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON object of an answer; an empty one if a refusal has none.

    Args:
        options: arguments of `httpx.AsyncClient.stream`, such as `data`.

    Raises:
        IssuerUnavailable: it does not answer, or not with a JSON object.
    """
    try:
        status, body = await _read(client, method, url, options)
    except AddressRefused as error:
        reason = "its host has no public address, and is not the issuer's own"
        raise IssuerUnavailable(f"{url} is not called: {reason}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise IssuerUnavailable(f"{url}: {type(error).__name__}: {error}") from error
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        if status == httpx.codes.OK:
            raise IssuerUnavailable(f"{url} did not answer with JSON") from error
        value = {}
    if not isinstance(value, dict):
        raise IssuerUnavailable(f"{url} did not answer with a JSON object")
    return status, value


async def _read(client: httpx.AsyncClient, method: str, url: str, options: dict[str, Any]) -> tuple[int, bytes]:
    body = bytearray()
    async with client.stream(method, url, **options) as response:
        if response.status_code != httpx.codes.OK and not response.is_client_error:
            raise IssuerUnavailable(f"{url} answered with status {response.status_code}")
        async for part in response.aiter_raw():
            body += part
            if len(body) > MAX_DOCUMENT_BYTES:
                raise IssuerUnavailable(f"{url} answered with more than {MAX_DOCUMENT_BYTES} bytes")
    return response.status_code, bytes(body)
