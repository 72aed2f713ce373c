"""One server with users, as Valkey and as Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_binary import redis_server_binary
from tests.redis_users import create_users
from workmanager.local import valkey
from workmanager.local.valkey import ValkeyServer


@pytest.fixture(params=["valkey", "redis"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ValkeyServer]:
    """One server with the users of all roles, and `default`, which can do everything."""
    if request.param == "redis":
        binary = redis_server_binary(tmp_path)
        monkeypatch.setattr(valkey, "server_binary", lambda: binary)
    server = ValkeyServer(tmp_path / "server")
    server.start()
    create_users(server)
    yield server
    server.kill()
