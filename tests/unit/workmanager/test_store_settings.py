"""The configuration file of a member of a cluster on a host of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from workmanager.store_settings import RESTART_SECONDS, main

REQUIRED = [
    "--role",
    "manager",
    "--port",
    "6379",
    "--address",
    "10.0.0.10",
    "--directory",
    "/data",
    "--max-memory",
    "1gb",
    "--acl-file",
    "/acl",
]
WITNESS = [
    "--role",
    "witness",
    "--port",
    "6381",
    "--address",
    "10.0.2.10",
    "--directory",
    "/data",
    "--acl-file",
    "/acl",
]
TLS = ["--tls-certificate", "/tls/crt", "--tls-key", "/tls/key", "--tls-authority", "/tls/ca"]


def _printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.endswith('"') for line in lines)
    return {name: value.strip('"') for name, _, value in (line.partition(" ") for line in lines)}


def test_a_host_of_jobs(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_tls_leaves_no_plain_port(capsys: pytest.CaptureFixture[str]) -> None:
    settings = _printed(capsys, *REQUIRED, *TLS)
    assert (settings["port"], settings["tls-port"]) == ("0", "6379")
    assert (settings["tls-cluster"], settings["tls-replication"]) == ("yes", "yes")
    assert (settings["tls-cert-file"], settings["tls-key-file"]) == ("/tls/crt", "/tls/key")
    assert settings["tls-ca-cert-file"] == "/tls/ca"


def test_users_and_the_replicas_password(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("se cret\n")
    settings = _printed(
        capsys,
        *REQUIRED,
        "--replication-user",
        "copy",
        "--replication-password-file",
        str(secret),
    )
    assert (settings["aclfile"], settings["protected-mode"]) == ("/acl", "no")
    assert (settings["masteruser"], settings["masterauth"]) == ("copy", "se cret")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (REQUIRED[:-2], "--acl-file is needed"),
        ([*REQUIRED[:-4], "--acl-file", "/acl"], "--max-memory is needed"),
        ([*REQUIRED, *TLS[:4]], "--tls-certificate, --tls-key and --tls-authority are given together"),
        ([*REQUIRED, "--replication-user", "copy"], "are given together, or neither"),
    ],
)
def test_a_wrong_option_is_told(capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert told in capsys.readouterr().err


def test_a_dead_server_returns_after_its_replica_has_succeeded_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert int(_printed(capsys, *REQUIRED)["cluster-node-timeout"]) / 1000 + 8 <= RESTART_SECONDS
