"""Many instances at once: twenty that really boot, and two hundred that only EC2's state has."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.ec2.conftest import StartSystem
from tests.acceptance.ec2.fake_ec2_workers import FakeWorkers
from tests.ec2.simulated_cloud import SimulatedCloud
from tests.waiting import until


def test_twenty_instances_boot_at_once(start_system: StartSystem) -> None:
    system = start_system(MAX_WORKERS="20", BOOT_TIMEOUT_SECONDS="120")
    system.submit(300, 0.1, gated=True)
    until(lambda: len(list((system.directory / "running").iterdir())) == 20, 150, wanted="jobs on twenty hosts")
    system.open_gates()
    system.wait_until_done()
    system.wait_until_no_instances()
    until(lambda: not system.cloud.machines.running, wanted="every machine to be off")


class TestWithoutMachines:
    """Instances that EC2 lists but that do not run; fake workers run their jobs."""

    @pytest.fixture
    def cloud(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
        (tmp_path / "shared").mkdir()
        with SimulatedCloud(tmp_path, boots=False) as cloud:
            for name, value in cloud.environ.items():
                monkeypatch.setenv(name, value)
            yield cloud

    def test_two_hundred_instances_at_once(self, start_system: StartSystem, cloud: SimulatedCloud) -> None:
        system = start_system(managers=2, MAX_WORKERS="200", WORKER_SLOTS="1")
        with FakeWorkers(system.redis_url, cloud.events, job_seconds=4.0) as fake_workers:
            cloud.events.before_termination = lambda ids: system.terminated_while_busy.extend(
                fake_workers.busy & set(ids)
            )
            system.submit(600, 4.0)
            until(lambda: len(cloud.events.alive) == 200, 120, wanted="two hundred instances")
            until(lambda: len(fake_workers.busy) == 200, 120, wanted="two hundred workers at work")
            fake_workers.may_finish.set()
            system.wait_until_done()
            system.wait_until_no_instances()
        assert cloud.events.max_alive({}) == 200
