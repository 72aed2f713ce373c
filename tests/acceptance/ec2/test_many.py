"""Many instances at once: twenty that boot, and two hundred in EC2's books."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.ec2.conftest import MakeSystem
from tests.acceptance.ec2.fake_workers import StandIns
from tests.ec2.simulated_cloud import Cloud
from tests.waiting import until


def test_twenty_instances_boot_at_once(start: MakeSystem) -> None:
    system = start(MAX_WORKERS="20", BOOT_LIMIT_SECONDS="120")
    system.submit(300, 0.1, gated=True)
    until(lambda: len(list((system.directory / "running").iterdir())) == 20, 150, wanted="jobs on twenty hosts")
    system.open_gates()
    system.wait_until_done()
    system.wait_until_empty()
    until(lambda: not system.cloud.machines.running, wanted="every machine to be off")


class TestInTheBooks:
    """Instances that EC2 lists and that do not run; stand-ins work for them."""

    @pytest.fixture
    def cloud(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
        (tmp_path / "shared").mkdir()
        with Cloud(tmp_path, boots=False) as cloud:
            for name, value in cloud.environ.items():
                monkeypatch.setenv(name, value)
            yield cloud

    def test_two_hundred_instances_at_once(self, start: MakeSystem, cloud: Cloud) -> None:
        system = start(managers=2, MAX_WORKERS="200", WORKER_SLOTS="1")
        with StandIns(system.redis_url, cloud.ledger, job_seconds=4.0) as stand_ins:
            cloud.ledger.before_termination = lambda ids: system.busy_ended.extend(stand_ins.busy & set(ids))
            system.submit(600, 4.0)
            until(lambda: len(cloud.ledger.living) == 200, 120, wanted="two hundred instances")
            until(lambda: len(stand_ins.busy) == 200, 120, wanted="two hundred workers at work")
            stand_ins.gate.set()
            system.wait_until_done()
            system.wait_until_empty()
        assert cloud.ledger.most_at_once({}) == 200
