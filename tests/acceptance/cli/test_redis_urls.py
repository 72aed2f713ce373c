"""A wrong Redis URL ends each program with one line and exit code 2, and no line has a part of the password."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.acceptance.manager.manager_program import environment
from tests.ports import pick_port
from workmanager.local.valkey_cluster import ValkeyCluster

HOSTS = "127.0.0.1:1+2,127.0.0.1:3+4,127.0.0.1:5+6"
Run = Callable[[str], subprocess.CompletedProcess[str]]


def _run(arguments: Sequence[str], **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    environ = {**environment(**settings), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(command, capture_output=True, text=True, timeout=90, env=environ, check=False)


PROGRAMS: dict[str, Run] = {
    "manager": lambda url: _run(["manager", "--port", "0", "--redis-url", url]),
    "worker": lambda url: _run(["worker_node", "--slots", "1", "--redis-url", url]),
    "up": lambda url: _run(["workmanager", "up", "--port", str(pick_port(consecutive=2)), "--redis-url", url]),
    "cluster": lambda url: _run(["manager.cluster", "--seconds", "1"], CLUSTER_HOSTS=HOSTS, REDIS_URL=url),
    "administrator": lambda url: _run(["manager.cluster", "--seconds", "1"], CLUSTER_HOSTS=HOSTS, CLUSTER_URL=url),
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://:7531#hush@127.0.0.1:1/0", "percent-encode"),
        ("redis://:7531,hush@127.0.0.1:1/0", "percent-encode"),
        ("redis://me:7531/hush@127.0.0.1:1/0", "percent-encode"),
        ("redis://:hush@127.0.0.1:1/0?decode_responses=true", "'decode_responses' is not supported"),
    ],
)
def test_a_wrong_url_is_one_line_without_the_password(program: str, url: str, message: str) -> None:
    _check(PROGRAMS[program](url), message)


@pytest.mark.parametrize("program", ["manager", "worker", "up"])
def test_a_database_that_redis_does_not_have_is_one_line(program: str, redis_url: str, cluster: ValkeyCluster) -> None:
    _check(PROGRAMS[program](f"{redis_url}/99"), "DB index is out of range")
    _check(PROGRAMS[program](f"{cluster.servers[0].url}/1"), cluster.servers[0].url.removeprefix("redis://"))


@pytest.mark.parametrize("argument", ["hush7531", "manager=hush7531", "hush=7531"])
def test_a_password_in_place_of_its_file_is_not_shown(argument: str) -> None:
    _check(_run(["jobqueue.acl", "--password", argument]), "ROLE=FILE" if argument[0] == "h" else "cannot be read")


def test_a_password_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b"hush\xff7531")
    _check(_run(["jobqueue.acl", "--password", f"worker={path}"]), "not UTF-8 text")


def _check(ended: subprocess.CompletedProcess[str], message: str) -> None:
    # Apart from the log and argparse's line on usage.
    lines = [line for line in ended.stderr.splitlines() if " event=" not in line and not line.startswith("usage:")]
    assert (ended.returncode, len(lines)) == (2, 1), ended.stderr
    assert message in lines[0]
    assert not any(secret in ended.stdout + ended.stderr for secret in ("hush", "7531", "Traceback")), ended.stderr
