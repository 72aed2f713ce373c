"""`workmanager up` with real servers and real processes; only the managers are stand-ins that obey."""

from __future__ import annotations

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
from workmanager.store_settings import RESTART_SECONDS

_STAND_IN = Path(__file__).with_name("fake_manager.py")


@pytest.fixture
def up(tmp_path: Path) -> Iterator[WorkmanagerUp]:
    run = WorkmanagerUp(tmp_path / "run")
    package = run.directory / "manager"
    package.mkdir()
    (package / "__init__.py").touch()  # the first package of that name on the path is taken: this one
    (package / "__main__.py").write_text(_STAND_IN.read_text())
    yield run
    run.kill_all()


def _notes(up: WorkmanagerUp) -> list[str]:
    """What the first manager saw."""
    return (up.directory / f"notes-{up.port}").read_text().splitlines()


def test_it_says_ready_when_every_manager_answers_and_ends_managers_before_the_store(up: WorkmanagerUp) -> None:
    up.start("--max-workers", "3")
    up.wait_until_ready()
    assert all(httpx.get(f"{url}/readyz", timeout=60).is_success for url in up.urls)
    assert up.stop() == 0
    assert _notes(up) == [
        "max workers 3, scaler local, store answers",
        "manager was told to end, store answers",
    ]
    assert running_in(up.directory) == []


def test_ctrl_c_in_a_terminal_is_for_it_alone_and_ends_it_in_order(up: WorkmanagerUp) -> None:
    process = up.start(start_new_session=True)
    up.wait_until_ready()
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=90)
    assert process.returncode == 0
    assert "manager was told to end, store answers" in _notes(up)
    assert running_in(up.directory) == []


def test_killing_it_leaves_nothing(up: WorkmanagerUp) -> None:
    process = up.start(environ={"STAND_IN": "leave a worker"})
    up.wait_until_ready()
    assert len(running_in(up.directory)) >= 4
    process.kill()
    process.communicate()
    until(lambda: not running_in(up.directory), wanted="an empty directory")


def test_a_manager_that_dies_is_started_again(up: WorkmanagerUp) -> None:
    up.start()
    up.wait_until_ready()
    first = up.pid_of(f"-m manager --host 127.0.0.1 --port {up.port} ")
    os.kill(first, signal.SIGKILL)
    until(lambda: len(_notes(up)) == 2, wanted="a second start")
    assert up.pid_of(f"-m manager --host 127.0.0.1 --port {up.port} ") != first
    assert up.stop() == 0
    assert running_in(up.directory) == []


def test_a_store_that_dies_is_started_again_with_its_jobs_at_the_same_address(up: WorkmanagerUp) -> None:
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


def test_a_member_of_a_cluster_that_dies_stays_away_until_its_replica_has_succeeded_it(up: WorkmanagerUp) -> None:
    up.start("--cluster")
    up.wait_until_ready()
    os.kill(up.pid_of("valkey-server"), signal.SIGKILL)
    killed_at = time.monotonic()
    until(lambda: len(_servers(up)) == 5)
    until(lambda: len(_servers(up)) == 6, wanted="its return")
    assert time.monotonic() - killed_at >= RESTART_SECONDS


def _servers(up: WorkmanagerUp) -> list[str]:
    return [line for line in running_in(up.directory) if "valkey-server" in line]


def test_the_next_run_finds_the_jobs_of_the_last(up: WorkmanagerUp) -> None:
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


def test_workers_that_a_killed_manager_left_end_before_the_store(up: WorkmanagerUp) -> None:
    up.start(environ={"STAND_IN": "leave a worker"})
    up.wait_until_ready()
    os.kill(up.pid_of(f"-m manager --host 127.0.0.1 --port {up.port} "), signal.SIGKILL)
    assert up.stop() == 0
    assert "worker saw its parent end, store answers" in _notes(up)
    assert running_in(up.directory) == []


def test_a_second_signal_ends_what_will_not_end_by_itself(up: WorkmanagerUp) -> None:
    process = up.start(environ={"STAND_IN": "deaf"})
    up.wait_until_ready()
    process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.terminate()
    # It would have patience for 60 s.
    process.communicate(timeout=40)
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


def test_jobs_of_the_other_kind_of_store_are_not_passed_over(up: WorkmanagerUp) -> None:
    (up.directory / "data/single").mkdir(parents=True)
    assert "holds the jobs of an `up` without --cluster" in up.startup_error("--cluster")


def test_a_data_directory_that_cannot_be_made_is_refused(up: WorkmanagerUp) -> None:
    (up.directory / "data").write_text("a file")
    assert "cannot use the data directory" in up.startup_error()


def test_settings_that_a_manager_refuses_end_it(up: WorkmanagerUp) -> None:
    assert "refused its settings (see above)" in up.startup_error(environ={"STAND_IN": "refuse"})
    assert running_in(up.directory) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--port", "0"], "--port 0 is not a port"),
        (["--port", "65535"], "leaves no room for 2 managers"),
        (["--port", "x"], "argument --port: invalid int value: 'x'"),
        (["--managers", "0"], "argument --managers: '0' is not a whole number from 1"),
        (["--max-workers", "-1"], "argument --max-workers: '-1' is not a whole number from 1"),
        (["--redis-url", "redis://127.0.0.1:6379", "--cluster"], "are for an embedded server"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(up: WorkmanagerUp, options: list[str], told: str) -> None:
    assert told in up.startup_error(*options)


def test_an_existing_server_is_used_and_left_alone(up: WorkmanagerUp, redis_url: str) -> None:
    up.start("--redis-url", redis_url)
    up.wait_until_ready()
    assert up.stop() == 0
    assert _notes(up)[-1] == "manager was told to end, store answers"
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
