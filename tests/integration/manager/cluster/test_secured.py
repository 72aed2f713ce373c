"""A deployed cluster: TLS between all members, formed by the `administrator` user, who has no other permissions."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.tls_redis import find_tls_server_binary, start_servers


def test_the_administrator_forms_a_cluster_over_tls(tmp_path: Path) -> None:
    program = find_tls_server_binary()
    if program is None:
        pytest.skip("no Redis or Valkey server with TLS on the PATH: apt-get install redis-tools")
    servers = start_servers(program, tmp_path, ("a", "b2", "b", "a2", "w2", "w"))
    try:
        ports = [server.port for server in servers]
        hosts = "127.0.0.1:{}+{},127.0.0.1:{}+{}+{},127.0.0.1:{}".format(*ports)
        environ = {
            "WORKMANAGER_CLUSTER_HOSTS": hosts,
            "WORKMANAGER_REDIS_URL": servers[0].url("manager"),
            "WORKMANAGER_CLUSTER_URL": servers[0].url("administrator"),
        }
        run = subprocess.run(
            [sys.executable, "-m", "manager.cluster"],
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            check=False,
        )
        state = orjson.loads(run.stdout)
        assert (run.returncode, state["masters_down"], state["replicas_missing"]) == (0, 0, 0), state
        with servers[3].client("administrator") as replica:
            assert replica.info("replication")["master_link_status"] == "up"
    finally:
        for server in servers:
            server.stop()
