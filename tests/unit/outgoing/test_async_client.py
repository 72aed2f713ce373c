"""The client for asyncio judges as the other one does."""

import httpx
import pytest

from outgoing.async_client import open_async_client
from outgoing.guard import AddressRefused, Guard
from tests.unit.outgoing.conftest import PRIVATE, PUBLIC, Names, StartService, redirect


async def test_a_permitted_service_is_called_by_address_and_by_name(
    guard: Guard, serve: StartService, names: Names
) -> None:
    service = serve()
    names.answers["public.test"] = [[PUBLIC]]
    async with open_async_client(guard, timeout_seconds=10) as client:
        assert (await client.get(service.url)).text == "hello"
        assert (await client.get(f"http://public.test:{service.port}/")).text == "hello"


async def test_redirects_and_changing_names_do_not_lead_inside(guard: Guard, serve: StartService, names: Names) -> None:
    service = serve()
    inside = serve(address=PRIVATE, port=service.port)
    names.answers["rebinding.test"] = [[PUBLIC], [PRIVATE]]
    outside = serve(redirect(inside.url))
    async with open_async_client(guard, timeout_seconds=10, follow_redirects=True) as client:
        assert (await client.get(f"http://rebinding.test:{service.port}/")).text == "hello"
        for url in (f"http://rebinding.test:{service.port}/", outside.url, inside.url):
            with pytest.raises(AddressRefused, match="a loopback address"):
                await client.get(url)
    assert inside.requests == []


async def test_services_that_cannot_be_reached_raise_errors_of_httpx(
    guard: Guard, serve: StartService, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, broken = serve(address=PRIVATE), serve(b"not HTTP\r\n\r\n")
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    async with open_async_client(guard, timeout_seconds=10) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.2:1/")
        with pytest.raises(httpx.ConnectError, match="not known"):
            await client.get("http://unknown.test/")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(broken.url)
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get("ws://127.0.0.2/")
    assert proxy.requests == []
