"""Parsing a Redis URL."""

import pytest
from redis.asyncio.connection import Connection, SSLConnection

from jobqueue.servers.url import parse_redis_url


@pytest.mark.parametrize(
    ("url", "seeds"),
    [
        ("redis://127.0.0.1", [("127.0.0.1", 6379)]),
        ("redis://h1:1,redis://h2:2/0", [("h1", 1), ("h2", 2)]),
        ("rediss://me:pw@h1:1, h2:2", [("h1", 1), ("h2", 2)]),
        ("redis://[::1]:7", [("::1", 7)]),
    ],
)
def test_seeds_are_parsed(url: str, seeds: list[tuple[str, int]]) -> None:
    assert parse_redis_url(url).seeds == tuple(seeds)


def test_user_password_and_options_apply_to_all_seeds() -> None:
    connection = parse_redis_url("rediss://h1,rediss://me:a%2Cb%40@h2?ssl_check_hostname=no").connect(host="x", port=1)
    assert isinstance(connection, SSLConnection)
    assert (connection.host, connection.port) == ("x", 1)
    assert (connection.username, connection.password) == ("me", "a,b@")
    assert connection.ssl_context.check_hostname is False


def test_a_redis_url_is_without_tls() -> None:
    assert type(parse_redis_url("redis://h").connect(host="x", port=1)) is Connection


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "no Redis server"),
        (" , ", "no Redis server"),
        ("h1:6379", "must start with redis://"),
        ("http://secret@h", "server 1"),
        ("unix:///tmp/secret", "Unix socket"),
        ("redis://:secret@h:port", "server 1"),
        ("redis://h1,rediss://:secret@h2", "schemes"),
        ("redis://:secret@h1,redis://:secret2@h2", "password"),
        ("redis://:secret@h?colour=red", "colour"),
        ("rediss://:secret@h?ssl_ca_certs=/nowhere/ca.pem", "no file /nowhere/ca.pem"),
    ],
)
def test_errors_do_not_contain_the_password(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        parse_redis_url(url)
    assert "secret" not in str(raised.value)
