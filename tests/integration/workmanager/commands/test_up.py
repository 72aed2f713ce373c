"""`workmanager up` with real servers and real processes; only the managers are fakes."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from processes.liveness_pipe import LivenessPipe
from tests.ports import pick_port
from tests.processes import running_in
from tests.waiting import until
from tests.workmanager_up import WorkmanagerUp
from workmanager.local.system import DRAIN_TIMEOUT_SECONDS
from workmanager.store_settings import RESTART_SECONDS

ROOT = Path(__file__).parents[4]
FAKE_MANAGER = Path(__file__).with_name("fake_manager.py")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[WorkmanagerUp]:
    run = WorkmanagerUp(tmp_path / "run")
    package = run.directory / "manager"
    package.mkdir()
    # This directory comes first on the path, so this is the package that `-m manager` runs. The rest is the real one's.
    (package / "__init__.py").write_text(f"__path__.append({str(ROOT / 'manager')!r})\n")
    (package / "__main__.py").write_text(FAKE_MANAGER.read_text())
    yield run
    run.kill_all()


def _notes(up: WorkmanagerUp) -> list[str]:
    """Return the notes of the first manager."""
    return (up.directory / f"notes-{up.port}").read_text().splitlines()


def test_it_prints_ready_and_in_the_end_stops_managers_before_redis(up: WorkmanagerUp) -> None:
    up.start("--max-workers", "3")
    up.wait_until_ready()
    assert all(httpx.get(f"{url}/readyz", timeout=60).is_success for url in up.urls)
    assert up.stop() == 0
    assert _notes(up) == [
        "max workers 3, scaler local, Redis answers",
        "manager got SIGTERM, Redis answers",
    ]
    assert running_in(up.directory) == []


def test_ctrl_c_in_a_terminal_reaches_only_it_and_stops_all_in_order(up: WorkmanagerUp) -> None:
    process = up.start(start_new_session=True)
    up.wait_until_ready()
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=90)
    assert process.returncode == 0
    assert "manager got SIGTERM, Redis answers" in _notes(up)
    assert running_in(up.directory) == []


def test_killing_it_leaves_no_process(up: WorkmanagerUp) -> None:
    process = up.start(environ={"FAKE_MANAGER": "leave a worker"})
    up.wait_until_ready()
    assert len(running_in(up.directory)) >= 4
    process.kill()
    process.communicate()
    until(lambda: not running_in(up.directory), wanted="an empty directory")


def test_a_dead_manager_is_restarted(up: WorkmanagerUp) -> None:
    up.start()
    up.wait_until_ready()
    first = up.pid_of(f"-m manager --host 127.0.0.1 --port {up.port} ")
    os.kill(first, signal.SIGKILL)
    until(lambda: len(_notes(up)) == 2, wanted="a second start")
    assert up.pid_of(f"-m manager --host 127.0.0.1 --port {up.port} ") != first
    assert up.stop() == 0
    assert running_in(up.directory) == []


def test_a_dead_redis_is_restarted_with_its_data_on_the_same_port(up: WorkmanagerUp) -> None:
    up.start()
    up.wait_until_ready()
    with up.redis_client() as client:
        client.set("job", "kept")
        address = client.connection_pool.connection_kwargs["port"]
        os.kill(up.pid_of("valkey-server"), signal.SIGKILL)

    def kept() -> bool:
        with up.redis_client() as client:
            try:
                return str(client.get("job")) == "kept"
            except redis.ConnectionError:
                return False

    until(kept, wanted="the job")
    with up.redis_client() as client:
        assert client.connection_pool.connection_kwargs["port"] == address


def test_a_dead_cluster_member_is_restarted_after_its_replica_took_over(up: WorkmanagerUp) -> None:
    up.start("--cluster")
    up.wait_until_ready()
    os.kill(up.pid_of("valkey-server"), signal.SIGKILL)
    killed_at = time.monotonic()
    until(lambda: len(_servers(up)) == 5)
    until(lambda: len(_servers(up)) == 6, wanted="its return")
    assert time.monotonic() - killed_at >= RESTART_SECONDS


def _servers(up: WorkmanagerUp) -> list[str]:
    return [line for line in running_in(up.directory) if "valkey-server" in line]


def test_the_next_run_has_the_data_of_the_last(up: WorkmanagerUp) -> None:
    up.start()
    up.wait_until_ready()
    with up.redis_client() as client:
        client.set("job", "kept")
    assert up.stop() == 0
    up.start()
    up.wait_until_ready()
    with up.redis_client() as client:
        assert client.get("job") == "kept"
    assert up.stop() == 0


def test_workers_of_a_killed_manager_end_before_redis(up: WorkmanagerUp) -> None:
    up.start(environ={"FAKE_MANAGER": "leave a worker"})
    up.wait_until_ready()
    os.kill(up.pid_of(f"-m manager --host 127.0.0.1 --port {up.port} "), signal.SIGKILL)
    assert up.stop() == 0
    assert "worker saw its parent end, Redis answers" in _notes(up)
    assert running_in(up.directory) == []


def test_a_second_signal_kills_processes_that_ignore_the_first(up: WorkmanagerUp) -> None:
    process = up.start(environ={"FAKE_MANAGER": "deaf"})
    up.wait_until_ready()
    process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.terminate()
    process.communicate(timeout=DRAIN_TIMEOUT_SECONDS - 20)
    assert process.returncode == 0
    assert running_in(up.directory) == []


def test_it_ends_with_the_process_that_started_it(up: WorkmanagerUp) -> None:
    pipe = LivenessPipe()
    process = up.start("--parent-fd", str(pipe.fd), pass_fds=[pipe.fd])
    up.wait_until_ready()
    pipe.close()
    process.communicate(timeout=90)
    assert process.returncode == 0
    assert running_in(up.directory) == []


def test_a_port_in_use_is_refused(up: WorkmanagerUp) -> None:
    with socket.create_server(("127.0.0.1", up.port + 1)):
        assert up.startup_error() == f"workmanager: port {up.port + 1} is in use; choose another with --port"
    assert not (up.directory / "data").exists()


def test_a_data_directory_in_use_is_refused(up: WorkmanagerUp) -> None:
    up.start()
    first = up.process
    up.wait_until_ready()
    assert "data is in use by another `workmanager up`" in up.startup_error("--port", str(pick_port(consecutive=2)))
    up.process = first
    assert up.stop() == 0


def test_data_of_the_other_redis_mode_are_refused(up: WorkmanagerUp) -> None:
    (up.directory / "data/single").mkdir(parents=True)
    assert "holds the jobs of a `workmanager up` without --cluster" in up.startup_error("--cluster")


def test_a_data_directory_that_cannot_be_made_is_refused(up: WorkmanagerUp) -> None:
    (up.directory / "data").write_text("a file")
    assert "cannot use the data directory" in up.startup_error()


def test_settings_that_a_manager_refuses_are_a_usage_error(up: WorkmanagerUp) -> None:
    assert "refused its settings (see above)" in up.startup_error(environ={"FAKE_MANAGER": "refuse"})
    assert running_in(up.directory) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "0"], "--port 0 is out of range"),
        (["--port", "65535"], "--port 65535 is out of range: 2 managers need ports"),
        (["--port", "x"], "argument --port: invalid int value: 'x'"),
        (["--managers", "0"], "argument --managers: '0' is not a whole number from 1"),
        (["--max-workers", "-1"], "argument --max-workers: '-1' is not a whole number from 1"),
        (["--redis-url", "redis://127.0.0.1:6379", "--cluster"], "are for the embedded Valkey"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_a_usage_error_is_one_line(up: WorkmanagerUp, options: list[str], message: str) -> None:
    assert message in up.startup_error(*options)


def test_an_existing_redis_is_used_and_not_stopped(up: WorkmanagerUp, redis_url: str) -> None:
    up.start("--redis-url", redis_url)
    up.wait_until_ready()
    assert up.stop() == 0
    assert _notes(up)[-1] == "manager got SIGTERM, Redis answers"
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
