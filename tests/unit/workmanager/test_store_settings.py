"""Configuration files of cluster members that have a host of their own."""

from pathlib import Path

import pytest

from workmanager.store_settings import RESTART_SECONDS, main

ROLE = ["--role", "manager", "--port", "6379", "--address", "10.0.0.10", "--directory", "/data"]
MAX_MEMORY = ["--max-memory", "1gb"]
ACL_FILE = ["--acl-file", "/acl"]
REQUIRED = [*ROLE, *MAX_MEMORY, *ACL_FILE]
WITNESS = ["--role", "witness", "--port", "6381", "--address", "10.0.2.10", "--directory", "/data", *ACL_FILE]
TLS = ["--tls-certificate", "/tls/crt", "--tls-key", "/tls/key", "--tls-authority", "/tls/ca"]


def _printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.endswith('"') for line in lines)
    return {name: value.strip('"') for name, _, value in (line.partition(" ") for line in lines)}


def test_settings_of_a_manager_host(capsys: pytest.CaptureFixture[str]) -> None:
    settings = _printed(capsys, *REQUIRED)
    assert settings["port"] == "6379"
    assert settings["bind"] == "10.0.0.10"
    assert settings["cluster-announce-ip"] == "10.0.0.10"
    assert settings["dir"] == "/data"
    assert settings["maxmemory"] == "1gb"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["appendfsync"] == "everysec"
    assert settings["cluster-require-full-coverage"] == "no"
    assert not any(name.startswith("tls") for name in settings)


def test_a_witness_needs_little_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert _printed(capsys, *WITNESS)["maxmemory"] == "64mb"


def test_one_server_without_cluster_mode_has_all_else(capsys: pytest.CaptureFixture[str]) -> None:
    member, plain = _printed(capsys, *REQUIRED, *TLS), _printed(capsys, "--plain", *REQUIRED[2:], *TLS)
    assert {name: value for name, value in member.items() if "cluster" not in name} == plain
    assert (plain["appendonly"], plain["maxmemory-policy"]) == ("yes", "noeviction")


def test_with_tls_there_is_no_plain_port(capsys: pytest.CaptureFixture[str]) -> None:
    settings = _printed(capsys, *REQUIRED, *TLS)
    assert (settings["port"], settings["tls-port"]) == ("0", "6379")
    assert (settings["tls-cluster"], settings["tls-replication"]) == ("yes", "yes")
    assert (settings["tls-cert-file"], settings["tls-key-file"]) == ("/tls/crt", "/tls/key")
    assert settings["tls-ca-cert-file"] == "/tls/ca"


def test_users_and_the_replicas_password(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("se cret\n")
    replication = ("--replication-user", "copy", "--replication-password-file", str(secret))
    settings = _printed(capsys, *REQUIRED, *replication)
    assert (settings["aclfile"], settings["protected-mode"]) == ("/acl", "no")
    assert (settings["masteruser"], settings["masterauth"]) == ("copy", "se cret")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*ROLE, *MAX_MEMORY], "--acl-file is required"),
        ([*ROLE, *ACL_FILE], "--max-memory is required"),
        (["--plain", *ROLE[2:], *ACL_FILE], "--max-memory is required"),
        (["--plain", *REQUIRED], "not allowed with"),
        ([*REQUIRED, *TLS[:4]], "give all of --tls-certificate, --tls-key and --tls-authority"),
        ([*REQUIRED, "--replication-user", "copy"], "give both --replication-user and --replication-password-file"),
    ],
)
def test_a_usage_error_names_the_option(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err


def test_a_server_may_pause_for_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    """A fifth more, so that it can answer what has arrived meanwhile."""
    assert int(_printed(capsys, *REQUIRED)["cluster-node-timeout"]) >= 1200


def test_a_dead_server_restarts_only_after_its_replica_has_taken_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert int(_printed(capsys, *REQUIRED)["cluster-node-timeout"]) / 1000 + 8 <= RESTART_SECONDS
