"""Reads the URL of a Redis: its seeds, and how to connect to any of its servers."""

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
    """What a URL says.

    Attributes:
        seeds: host and port of each server that is named.
        user: as whom, `default` where none is named.
        connect: makes a connection to any server of the deployment, with its user, password and TLS settings.
    """

    seeds: tuple[tuple[str, int], ...]
    user: str
    connect: ConnectionFactory


def parse_redis_url(url: str) -> RedisUrl:
    """Reads `redis://[user:password@]host[:port][/db][?options]`, or `rediss://…` for TLS.

    Several seeds of one cluster are separated by commas. They share scheme, user, password and options, so that these
    need to stand at one of them only: `rediss://me:secret@10.0.0.10,10.0.1.10?ssl_ca_certs=/etc/ca.pem`. Options are
    those of redis-py: `ssl_ca_certs`, `ssl_check_hostname`, `ssl_certfile`, `ssl_keyfile` and others. Special
    characters in user and password are percent-encoded.

    Raises:
        ValueError: it is none of Redis, its seeds contradict each other, or it names a file that does not exist. The
            message does not show the URL, which may hold a password.
    """
    parts = [part.strip() for part in url.split(",") if part.strip()]
    if not parts:
        raise ValueError("it names no Redis server")
    scheme, found, _ = parts[0].partition("://")
    if not found:
        raise ValueError("it begins with redis:// or, for TLS, rediss://")
    seeds: list[tuple[str, int]] = []
    shared: dict[str, Any] = {}
    for number, part in enumerate(parts, 1):
        if "://" in part and not part.startswith(f"{scheme}://"):
            raise ValueError("its servers have different schemes: either all speak TLS or none does")
        try:
            options: dict[str, Any] = dict(parse_url(part if "://" in part else f"{scheme}://{part}"))
        except ValueError as error:
            raise ValueError(f"server {number} is not the URL of a Redis server: {error}") from None
        if "path" in options:
            raise ValueError(f"server {number} is a Unix socket: a Redis there is out of reach for other machines")
        seeds.append((str(options.pop("host", "127.0.0.1")), int(options.pop("port", 6379))))
        for name, value in options.items():
            if shared.setdefault(name, value) != value:
                raise ValueError(f"its servers have different values of {name!r}: they share user, password and TLS")
    _check_files(shared)
    user = shared.get("username") or "default"
    # One write, one answer: what redis-py would do on its own is left out (docs/decisions/0001).
    fixed = {"socket_timeout": None, "retry": Retry(NoBackoff(), 0), "protocol": 2, "driver_info": None}
    connect = partial(shared.pop("connection_class", Connection), **{**shared, **fixed})
    try:
        connect(host=seeds[0][0], port=seeds[0][1])
    except TypeError as error:
        raise ValueError(f"it has an option that is not known: {error}") from None
    return RedisUrl(tuple(seeds), user, cast(ConnectionFactory, connect))


def _check_files(options: Mapping[str, Any]) -> None:
    for name in _FILES:
        if name in options and not Path(options[name]).is_file():
            raise ValueError(f"{name}: there is no file {options[name]}")
