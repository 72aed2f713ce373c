"""scripts/bake.sh makes an image of an instance that really runs its user data, here without Amazon's packages."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ec2.network import isolated_network, unavailable_reason
from tests.ec2.simulated_cloud import SimulatedCloud
from tests.infra.tools import fast_waiters_environment, start_fast_aws

ROOT = Path(__file__).parents[3]
PREPARED = {
    "usr/local/bin/cloud-init": '#!/bin/bash\necho "cloud-init $*"\n',
    "usr/local/bin/valkey-server": "#!/bin/bash\n",
}
REFUSING = {**PREPARED, "usr/local/bin/dnf": "#!/bin/bash\necho 'No match for argument: valkey' >&2\nexit 1\n"}


@contextmanager
def simulated(directory: Path, commands: dict[str, str]) -> Iterator[SimulatedCloud]:
    if reason := unavailable_reason():
        pytest.skip(reason)
    with isolated_network(), SimulatedCloud(directory / "machines", commands=commands) as cloud:
        yield cloud


def bake(directory: Path, cloud: SimulatedCloud, *options: str) -> subprocess.CompletedProcess[str]:
    (directory / "programs").mkdir()
    (directory / "programs/aws").symlink_to(start_fast_aws())
    environ = {
        **os.environ,
        **cloud.environ,
        **fast_waiters_environment(directory),
        "PATH": f"{directory / 'programs'}:{os.environ['PATH']}",
        "AWS_REGION": "us-east-1",
        "WORKMANAGER_POLL_SECONDS": "0.1",
    }
    return subprocess.run(
        [ROOT / "scripts/bake.sh", *options], env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_an_image_is_made_of_an_instance_that_has_installed_all_and_stopped(tmp_path: Path) -> None:
    with simulated(tmp_path, PREPARED) as cloud:
        done = bake(tmp_path, cloud)
        assert done.returncode == 0, done.stderr
        (image,) = cloud.client("ec2").describe_images(Owners=["self"])["Images"]
        assert done.stdout == f"{image['ImageId']}\n"
        assert image["Name"].startswith("workmanager-arm64-")
        ((machine_id, machine),) = cloud.machines.all().items()
        assert [line.split()[1] for line in machine.console.splitlines() if line.startswith("event=image_bake")] == [
            "step=began",
            "step=installed",
            "step=finished",
        ]
        assert "dnf install --assumeyes --quiet python3.11 valkey" in machine.console
        assert "cloud-init clean --logs" in machine.console
        assert cloud.states() == {machine_id: "terminated"}


def test_the_reason_is_shown_if_the_packages_cannot_be_installed(tmp_path: Path) -> None:
    with simulated(tmp_path, REFUSING) as cloud:
        done = bake(tmp_path, cloud)
        assert (done.returncode, done.stdout) == (1, "")
        assert "No match for argument: valkey" in done.stderr
        assert cloud.client("ec2").describe_images(Owners=["self"])["Images"] == []
        assert set(cloud.states().values()) <= {"shutting-down", "terminated"}
