"""Logs say where a request came from and what it is called; neither can be forged by who has no right to."""

import io

import pytest

from manager.http.access_log import AccessLog
from manager.http.asgi import FIELDS
from manager.http.request_origin import RequestIds, TrustedProxies
from tests.unit.manager.http.http_server import put, served


@pytest.mark.parametrize(
    "given", ["abc", "5f0c0b1e-2f0e-4d3a-9a56-0c1b2d3e4f50", "Root=1-67891233-abcdef012345678912345678"]
)
def test_a_well_formed_id_is_kept(given: str) -> None:
    assert RequestIds().of({b"x-request-id": given.encode()}) == given.encode()


@pytest.mark.parametrize("given", [b"", b"a b", b"a\tb", b"one, two", b"x" * 129, "ä".encode(), b"a\n", b'"'])
def test_any_other_id_is_replaced_by_one_that_is_unique(given: bytes) -> None:
    ids, others = RequestIds(), RequestIds()
    made = {each.of({b"x-request-id": given}) for each in (ids, ids, others)} | {ids.of({})}
    assert len(made) == 4
    assert given not in made


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # the peer is no proxy
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("fd00::1", "[2001:db8::7]:443", "2001:db8::7"),
        ("10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.66, 203.0.113.9", "203.0.113.9"),  # the first entry is what the client claims
        ("10.0.0.1", "198.51.100.66, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9 key=env-1", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_on_the_way_that_is_no_trusted_proxy(
    peer: str, forwarded: str | None, client: str
) -> None:
    fields = {} if forwarded is None else {b"x-forwarded-for": forwarded.encode()}
    scope = {"client": (peer, 4711), FIELDS: fields}
    assert TrustedProxies(("10.0.0.0/24", "fd00::/8")).client_of(scope) == client
    assert TrustedProxies(()).client_of(scope) == peer


async def test_every_response_has_the_id_of_its_request() -> None:
    stream = io.StringIO()
    async with served(access_log=AccessLog(stream)) as server:
        client = await server.connect()
        for request in (
            put(b"one", "1.1", "x-request-id: mine"),
            put(b"", "1.1", "x-request-id: mine", target="/through-the-framework"),
            put(b"", "1.1", "x-request-id: mine", "content-encoding: br"),
        ):
            client.send(request)
            assert (await client.response())[1]["x-request-id"] == "mine"
        client.send(b"\0\r\n\r\n")
        status, fields, _ = await client.response()
        assert status == 400
        made = fields["x-request-id"]
    lines = stream.getvalue().splitlines()
    assert [line.partition(" client=")[2] for line in lines] == [
        *["127.0.0.1 request=mine"] * 3,
        f"127.0.0.1 request={made}",
    ]
