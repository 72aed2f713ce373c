"""Connections to managers for asyncio: those of httpx, with the same addresses, proxies and authorities."""

from collections.abc import AsyncIterator, Mapping, Sequence

import httpx

from workmanager.http.addresses import Address, find_address, trusted_authorities
from workmanager.http.answer import Answer, NoAnswer
from workmanager.http.body import length_field, split

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class AsyncAnswer(Answer):
    """An answer whose body may still be to come."""

    def __init__(self, url: str, response: httpx.Response) -> None:
        super().__init__(url, response.status_code, response.headers)
        self._response = response

    async def iter_lines(self) -> AsyncIterator[str]:
        """Yield the lines of the body as they come; a last one without its end broke off, and is left out.

        Raises:
            NoAnswer: the connection broke, or was silent for too long.
        """
        rest = b""
        try:
            # Not `aiter_lines`: for httpx a line also ends at U+2028 and others, which stand in JSON as they are.
            async for piece in self._response.aiter_bytes():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield line.decode(errors="replace").rstrip("\r")
        except httpx.TransportError as error:
            raise NoAnswer(error, sent=True) from error

    async def close(self) -> None:
        """Give up what is left of the body."""
        await self._response.aclose()


class AsyncConnections:
    """Sends requests to some managers. For one event loop."""

    def __init__(self, urls: Sequence[str], headers: Mapping[str, str], *, connect_seconds: float) -> None:
        """Open no connection yet. Arguments and errors are those of `Connections`."""
        self._addresses = [find_address(url) for url in urls]
        tls = trusted_authorities() if any(address.is_tls for address in self._addresses) else False
        self._clients = [
            httpx.AsyncClient(
                headers={**headers, **address.credentials}, verify=tls, proxy=_proxy(address), trust_env=False
            )
            for address in self._addresses
        ]
        self._connect_seconds = connect_seconds

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    async def send(
        self,
        manager: int,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None,
        timeout_seconds: float,
        stream: bool = False,
    ) -> AsyncAnswer:
        """Send one request, and return what the manager answers. Arguments and errors are those of `Connections`."""
        address, client = self._addresses[manager], self._clients[manager]
        timeout = httpx.Timeout(timeout_seconds, connect=self._connect_seconds)
        url = f"{address.origin}{address.path}{path}"
        body = None if content is None else _split(content)
        fields = {**headers, **length_field(content)}
        request = client.build_request(method, url, headers=fields, content=body, timeout=timeout)
        try:
            response = await client.send(request, stream=True)
            answer = AsyncAnswer(address.url + path, response)
            if not (stream and answer.is_success):
                answer.content = await response.aread()
        except httpx.TransportError as error:
            raise NoAnswer(error, sent=not isinstance(error, NOT_SENT)) from error
        return answer


async def _split(content: bytes) -> AsyncIterator[bytes]:
    for piece in split(content):
        yield piece


def _proxy(address: Address) -> httpx.Proxy | None:
    proxy = address.proxy
    return None if proxy is None else httpx.Proxy(proxy.origin, headers=proxy.credentials)
