"""Parsing a Redis URL."""

import re
from collections.abc import Sequence

import pytest
from redis.asyncio.connection import Connection, SSLConnection

from jobqueue.servers.url import parse_redis_url

SECRETS = ("sec", "r3t", "7531")
"""Parts of the passwords of this module: no message may contain one of them."""


@pytest.mark.parametrize(
    ("url", "seeds"),
    [
        ("redis://127.0.0.1", [("127.0.0.1", 6379)]),
        ("redis://h1:1,redis://h2:2/0", [("h1", 1), ("h2", 2)]),
        ("rediss://me:pw@h1:1, h2:2", [("h1", 1), ("h2", 2)]),
        ("redis://[::1]:7", [("::1", 7)]),
        ("redis://[fe80::1%eth0]", [("fe80::1%eth0", 6379)]),
        ("redis://", [("127.0.0.1", 6379)]),
        ("redis:///3", [("127.0.0.1", 6379)]),
        ("REDIS://redis_1/3/\n", [("redis_1", 6379)]),
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


@pytest.mark.parametrize(
    ("userinfo", "password"),
    [
        (":pässwort", "pässwort"),
        (":a@b", "a@b"),
        (":a:b", "a:b"),
        (":a[b]c", "a[b]c"),
        (":%2Fa%23b%3Fc%2Cd", "/a#b?c,d"),
        (":a+b=c&d;e$f!g", "a+b=c&d;e$f!g"),
        (":℀b", "℀b"),  # urllib refuses it, and quotes it
    ],
)
def test_a_password_is_what_was_written(userinfo: str, password: str) -> None:
    connection = parse_redis_url(f"redis://{userinfo}@h:1/2?client_name=me").connect(host="x", port=1)
    assert (connection.password, connection.db, connection.client_name) == (password, 2, "me")


def test_a_redis_url_is_without_tls() -> None:
    assert type(parse_redis_url("redis://h").connect(host="x", port=1)) is Connection


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "no Redis server"),
        (" , ", "no Redis server"),
        ("h1:6379", "must start with redis://"),
        ("sec:ret://h", "must start with redis://"),
        ("http://secret@h", "server 1"),
        ("unix:///tmp/secret", "Unix socket"),
        ("redis://:secret@h:port", "server 1"),
        ("redis://:secret@h:0", "server 1"),
        ("redis://:secret@h:7531111", "server 1"),
        ("redis://h1,rediss://:secret@h2", "schemes"),
        ("redis://:secret@h1,redis://:secret2@h2", "password"),
        ("redis://:secret@h?colour=red", "colour"),
        ("rediss://:secret@h?ssl_ca_certs=/nowhere/ca.pem", "no file /nowhere/ca.pem"),
    ],
)
def test_errors_do_not_contain_the_password(url: str, message: str) -> None:
    _refused(url, message)


@pytest.mark.parametrize("special", [",", "/", "#", "?", "?x=", "/0?", "#@", ",x:", "?db=7531&"])
@pytest.mark.parametrize(("before", "after"), [(":sec", "r3t"), (":7531", "r3t"), ("me:sec", "7531"), (":", "sec")])
def test_a_raw_special_character_in_the_password_is_refused_without_quoting_it(
    special: str, before: str, after: str
) -> None:
    for server in ("h:6379/0", "h1,h2", "h"):
        _refused(f"redis://{before}{special}{after}@{server}", "percent-encode")


@pytest.mark.parametrize(
    "url", ["redis://:sec\nret@h", "redis://:sec\x00ret@h", "redis://:sec\udcffret@h", "redis://:sec%FFret@h"]
)
def test_a_password_that_cannot_be_sent_is_refused(url: str) -> None:
    _refused(url, "percent-encode")


@pytest.mark.parametrize(
    "option",
    [
        *("decode_responses=true", "protocol=3", "encoding=latin-1", "socket_timeout=1", "retry_on_timeout=1"),
        *("health_check_interval=1", "max_connections=1", "parser_class=x", "retry=x", "socket_type=9", "host=x"),
        *("credential_provider=x", "redis_connect_func=x", "encoder_class=x", "unix_socket_path=/x"),
    ],
)
def test_an_option_that_would_break_the_connections_is_refused_by_name(option: str) -> None:
    _refused(f"redis://:secret@h?{option}", f"'{option.partition('=')[0]}' is not supported")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("ssl_cert_reqs=secret", "TLS options"),
        ("ssl_certfile=/etc/hostname", "TLS options"),
        ("ssl_ca_certs=/etc/hostname", "TLS options"),
        ("ssl_ciphers=secret", "TLS options"),
        ("ssl_min_version=secret", "ssl_min_version"),
        ("ssl_ca_certs=", "'ssl_ca_certs' has no value"),
        ("ssl_password=secret&ssl_password=secret2", "'ssl_password' is given twice"),
        ("secret", r"\?name=value"),
        ("Secret=1", "option without a valid name"),
        ("db=secret", "'db' is not supported"),
    ],
)
def test_a_wrong_option_is_named_without_its_value(query: str, message: str) -> None:
    _refused(f"rediss://h?{query}", message)


def test_tls_options_need_a_tls_url() -> None:
    _refused("redis://:secret@h?ssl_ca_path=/etc", "'ssl_ca_path' is for TLS: start the URL with rediss://")


@pytest.mark.parametrize("path", ["/secret", "/0/1", "/-1", "/1.5", "//secret", "/\uff19", "/03", "/00", "/+3", "/ 3"])
def test_a_path_that_is_no_database_number_is_refused(path: str) -> None:
    _refused(f"redis://h{path}", "database number")


@pytest.mark.parametrize("server", ["h:6379", "h:6379/", "h/0", "h/3", "h1,h2", "h1:1/0,h2:2/0"])
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
@pytest.mark.parametrize("number", ["0", "1", "3", "-1", "03", ""])
def test_a_database_number_stands_in_the_path_alone(scheme: str, server: str, number: str) -> None:
    _refused(f"{scheme}://:secret@{server}?client_name=me&db={number}", "'db'.*after the host, such as /0")


@pytest.mark.parametrize(
    "url", ["redis://h1:1,h2:2/1", "redis://h1/3,h2", "redis://:secret@h1/0,h2/3", "rediss://h1/3,h2/3"]
)
def test_a_database_number_that_no_cluster_has_is_refused(url: str) -> None:
    _refused(url, "database|'db'")


@pytest.mark.parametrize("url", ["unix:///var/run/redis.sock?db=3", "unix://:secret@/run/redis.sock"])
def test_a_unix_socket_is_refused(url: str) -> None:
    _refused(url, "Unix socket")


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "a b", "[::1", "a:b:c"])
def test_a_host_that_cannot_exist_is_refused(host: str) -> None:
    _refused(f"redis://:secret@{host}", "server 1")


def _refused(url: str, message: str, secrets: Sequence[str] = SECRETS) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        parse_redis_url(url)
    text = str(raised.value)
    assert "\n" not in text
    # Without words of ours that hold such letters: `percent`, for instance.
    own = re.sub(r"/nowhere/ca.pem|secret2?(?=' is)", "", text)
    assert not any(secret in own for secret in secrets), text
