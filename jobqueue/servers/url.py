"""Parser of the Redis URL: the seed servers, and how to connect to any server of the deployment.

The URL can hold a password, in any part that a raw special character has cut off. So no message quotes the URL.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

from redis.asyncio.connection import URL_QUERY_ARGUMENT_PARSERS, Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from jobqueue.servers.connection_pool import ConnectionFactory

DEFAULT_PORT = 6379
ENCODE_HINT = "percent-encode special characters in user and password, such as %2C for , %2F for / %23 for # %40 for @"

_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS_OPTIONS = (
    *(*_FILES, "ssl_ca_path", "ssl_ca_data", "ssl_password", "ssl_cert_reqs", "ssl_check_hostname"),
    *("ssl_ciphers", "ssl_min_version", "ssl_include_verify_flags", "ssl_exclude_verify_flags"),
)
_OPTIONS = frozenset({*_TLS_OPTIONS, "username", "password", "client_name", "socket_keepalive"})
_OPTION_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_AUTHORITY = re.compile(r"[^/?#]*")
_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+(?:%[\w.-]+)?\]|[^\s:\[\]%]*)(?::(?P<port>[0-9]*))?")
_PATH = re.compile(r"/?|/(?P<db>0|[1-9][0-9]{0,8})/?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A parsed URL.

    Attributes:
        seeds: host and port of each server in the URL.
        user: the Redis user, `default` if the URL names none.
        connect: makes a connection to any server of the deployment, with user, password and TLS settings.
    """

    seeds: tuple[tuple[str, int], ...]
    user: str
    connect: ConnectionFactory


def parse_redis_url(url: str) -> RedisUrl:
    """Parse `redis://[user:password@]host[:port][/db][?options]`, or `rediss://…` for TLS.

    Seeds of one cluster are separated by commas. They share scheme, user, password and options, so it is enough to give
    these with one seed: `rediss://me:secret@10.0.0.10,10.0.1.10?ssl_ca_certs=/etc/ca.pem`. Options are those of
    redis-py that concern TLS (`ssl_ca_certs`, `ssl_check_hostname`, `ssl_certfile`, `ssl_keyfile` and others),
    `client_name` and `socket_keepalive`. Special characters in user and password are percent-encoded.

    Raises:
        ValueError: the URL is not a Redis URL, its seeds contradict each other, or it names a file that does not exist.
            The message contains no part of user, password or host.
    """
    url = url.strip()
    if _CONTROL.search(url):
        raise ValueError(f"the URL contains a line break or another control character: {ENCODE_HINT}")
    parts = [part.strip() for part in url.split(",") if part.strip()]
    if not parts:
        raise ValueError("the URL names no Redis server")
    scheme, found, _ = parts[0].partition("://")
    scheme = scheme.lower()
    if not found or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        raise ValueError("the URL must start with redis:// or, for TLS, rediss://")
    if scheme == "unix":
        raise ValueError("Redis server 1 is a Unix socket, which other machines cannot reach: give a host")
    if scheme not in ("redis", "rediss"):
        raise ValueError("server 1 has no valid Redis URL: it must start with redis:// or, for TLS, rediss://")
    for number, part in enumerate(parts, 1):
        _check_delimiters(part, number, scheme)
    seeds: list[tuple[str, int]] = []
    shared: dict[str, Any] = {}
    for number, part in enumerate(parts, 1):
        seed, options = _parse_server(part, number)
        seeds.append(seed)
        for name, value in options.items():
            if shared.setdefault(name, value) != value:
                raise ValueError(f"the servers have different values of {name!r}: they share user, password and TLS")
    if len(set(seeds)) > 1 and shared.get("db"):
        raise ValueError("several servers are a Redis Cluster, which has only database 0: remove the database number")
    _check_files(shared)
    connect = _connection_factory(scheme, shared, seeds[0])
    return RedisUrl(tuple(seeds), shared.get("username") or "default", connect)


def _check_delimiters(part: str, number: int, scheme: str) -> None:
    """Check that no delimiter is part of a password: every later message may then quote the name of an option."""
    own_scheme, has_scheme, rest = part.rpartition("://")
    if has_scheme and own_scheme.lower() != scheme:
        raise ValueError("the servers have different schemes: use TLS for all of them or for none")
    if "@" in rest and not has_scheme:
        # Either user and password of this server, or the part of a password that follows a comma.
        raise ValueError(
            f"server {number} has an @ but no scheme: give user and password with the first server, and {ENCODE_HINT}"
        )
    if "#" in rest or "@" in rest[_AUTHORITY.match(rest).end() :]:  # type: ignore[union-attr]  # as below
        raise ValueError(f"server {number} has no valid Redis URL: {ENCODE_HINT}")


def _parse_server(part: str, number: int) -> tuple[tuple[str, int], dict[str, Any]]:
    """Return a server's host and port, and redis-py's options for a connection to it."""
    _, _, rest = part.rpartition("://")
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index]  # it matches an empty one, too
    rest = rest[len(authority) :]
    path, _, query = rest.partition("?")
    credentials, _, host_and_port = authority.rpartition("@")
    options = {**_parse_options(query, number), **_parse_credentials(credentials, number)}
    database = _PATH.fullmatch(path)
    if database is None:
        raise ValueError(f"server {number}: what follows the host must be a database number, such as /0")
    if database["db"]:
        options["db"] = int(database["db"])
    return _parse_host(host_and_port, number), options


def _parse_credentials(text: str, number: int) -> dict[str, Any]:
    user, _, password = text.partition(":")
    try:
        given = {"username": unquote(user, errors="strict"), "password": unquote(password, errors="strict")}
    except UnicodeDecodeError:
        raise ValueError(f"server {number}: user and password must be percent-encoded UTF-8") from None
    return {name: value for name, value in given.items() if value}


def _parse_options(query: str, number: int) -> dict[str, Any]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise ValueError(f"server {number}: options must look like ?name=value&name=value") from None
    options: dict[str, Any] = {}
    for name, value in pairs:
        if not _OPTION_NAME.fullmatch(name):
            raise ValueError(f"server {number} has an option without a valid name: {ENCODE_HINT}")
        if name == "db":
            raise ValueError("the option 'db' is not supported: write the database number after the host, such as /0")
        if name not in _OPTIONS:
            raise ValueError(f"the option {name!r} is not supported; supported are {', '.join(sorted(_OPTIONS))}")
        if not value:
            raise ValueError(f"the option {name!r} has no value")
        try:
            parsed = URL_QUERY_ARGUMENT_PARSERS.get(name, str)(value)
        except (TypeError, ValueError):
            raise ValueError(f"the option {name!r} has a value that it cannot have") from None
        if options.setdefault(name, parsed) != parsed:
            raise ValueError(f"the option {name!r} is given twice")
    return options


def _parse_host(text: str, number: int) -> tuple[str, int]:
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or (match["port"] and not 1 <= int(match["port"]) <= 65535):
        raise ValueError(f"server {number} has no valid Redis URL: give host or host:port, and {ENCODE_HINT}")
    host = match["host"].strip("[]") or "127.0.0.1"
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"server {number} has no valid host name") from None
    return host, int(match["port"] or DEFAULT_PORT)


def _check_files(options: Mapping[str, Any]) -> None:
    for name in _FILES:
        if name in options and not Path(options[name]).is_file():
            raise ValueError(f"{name}: there is no file {options[name]}")


def _connection_factory(scheme: str, options: Mapping[str, Any], seed: tuple[str, int]) -> ConnectionFactory:
    if scheme == "redis":
        for name in sorted(options.keys() & set(_TLS_OPTIONS)):
            raise ValueError(f"the option {name!r} is for TLS: start the URL with rediss://")
    # Nothing that redis-py would do on its own: no retry, no timeout, no greeting (docs/decisions/0001).
    fixed = {"socket_timeout": None, "retry": Retry(NoBackoff(), 0), "protocol": 2, "driver_info": None}
    connect = partial(SSLConnection if scheme == "rediss" else Connection, **{**options, **fixed})
    host, port = seed
    try:
        connection = connect(host=host, port=port)
        if isinstance(connection, SSLConnection):
            connection.ssl_context.get()
    except (OSError, RedisError, TypeError, ValueError) as error:
        # Not the error's text: it can quote a value.
        raise ValueError(f"the TLS options of the URL cannot be used ({type(error).__name__})") from None
    return cast(ConnectionFactory, connect)
