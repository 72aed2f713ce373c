"""A client that asks the managers in turn until one carries its request out."""

import asyncio
import itertools
from typing import Any

import httpx

from tests.acceptance.faults.system_under_test import API_KEY

_REQUEST_SECONDS = 60.0


class PatientClient:
    """Repeats a request that got no answer, or 503. What is sent twice must be harmless.

    Args:
        urls: the managers.
    """

    def __init__(self, urls: list[str]) -> None:
        self._urls = itertools.cycle(urls)
        self._http = httpx.AsyncClient(trust_env=False, timeout=10, headers={"Authorization": f"Bearer {API_KEY}"})

    async def request(self, method: str, path: str, *, other: int | None = None, **options: Any) -> dict[str, Any]:
        """Return the answer of a request that succeeded; with `other`, an empty one for this status.

        Raises:
            AssertionError: the answer is an error that does not pass.
            TimeoutError: none was given for a minute.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _REQUEST_SECONDS
        while True:
            try:
                answer = await self._http.request(method, next(self._urls) + path, **options)
                if answer.is_success:
                    return dict(answer.json())
                if answer.status_code == other:
                    return {}
                assert answer.status_code == 503, f"{method} {path}: {answer.status_code} {answer.text}"
            except httpx.HTTPError:
                pass
            if loop.time() > deadline:
                raise TimeoutError(f"{method} {path} was not answered")
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        await self._http.aclose()
