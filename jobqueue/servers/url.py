"""Parser of the Redis URL: the seed servers, and how to connect to any server of the deployment."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from jobqueue.servers.connection_pool import ConnectionFactory

_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


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
    redis-py: `ssl_ca_certs`, `ssl_check_hostname`, `ssl_certfile`, `ssl_keyfile` and others. Special characters in user
    and password are percent-encoded.

    Raises:
        ValueError: the URL is not a Redis URL, its seeds contradict each other, or it names a file that does not exist.
            The message does not contain the URL, which may hold a password.
    """
    parts = [part.strip() for part in url.split(",") if part.strip()]
    if not parts:
        raise ValueError("the URL names no Redis server")
    scheme, found, _ = parts[0].partition("://")
    if not found:
        raise ValueError("the URL must start with redis:// or, for TLS, rediss://")
    seeds: list[tuple[str, int]] = []
    shared: dict[str, Any] = {}
    for number, part in enumerate(parts, 1):
        seed, options = _parse_server(part, number, scheme)
        seeds.append(seed)
        for name, value in options.items():
            if shared.setdefault(name, value) != value:
                raise ValueError(f"the servers have different values of {name!r}: they share user, password and TLS")
    _check_files(shared)
    return RedisUrl(tuple(seeds), shared.get("username") or "default", _connection_factory(shared, seeds[0]))


def _parse_server(part: str, number: int, scheme: str) -> tuple[tuple[str, int], dict[str, Any]]:
    """Return a server's host and port, and redis-py's options for a connection to it."""
    if "://" in part and not part.startswith(f"{scheme}://"):
        raise ValueError("the servers have different schemes: use TLS for all of them or for none")
    try:
        options: dict[str, Any] = dict(parse_url(part if "://" in part else f"{scheme}://{part}"))
    except ValueError as error:
        raise ValueError(f"server {number} has no valid Redis URL: {error}") from None
    if "path" in options:
        raise ValueError(f"Redis server {number} is a Unix socket, which other machines cannot reach: give a host")
    return (str(options.pop("host", "127.0.0.1")), int(options.pop("port", 6379))), options


def _check_files(options: Mapping[str, Any]) -> None:
    for name in _FILES:
        if name in options and not Path(options[name]).is_file():
            raise ValueError(f"{name}: there is no file {options[name]}")


def _connection_factory(options: Mapping[str, Any], seed: tuple[str, int]) -> ConnectionFactory:
    # Nothing that redis-py would do on its own: no retry, no timeout, no greeting (docs/decisions/0001).
    fixed = {"socket_timeout": None, "retry": Retry(NoBackoff(), 0), "protocol": 2, "driver_info": None}
    arguments = {**options, **fixed}
    connect = partial(arguments.pop("connection_class", Connection), **arguments)
    host, port = seed
    try:
        connect(host=host, port=port)
    except TypeError as error:
        raise ValueError(f"the URL has an unknown option: {error}") from None
    return cast(ConnectionFactory, connect)
