"""Fixtures: a simulated AWS for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ec2.network import isolated_network, unavailable_reason
from tests.ec2.simulated_cloud import SimulatedCloud


@pytest.fixture
def api_only_cloud(tmp_path: Path) -> Iterator[SimulatedCloud]:
    """A cloud that only answers API calls: its instances do not run."""
    with SimulatedCloud(tmp_path, boots=False, address="127.0.0.1") as cloud:
        yield cloud


@pytest.fixture
def network() -> Iterator[None]:
    """A network namespace for the test."""
    if reason := unavailable_reason():
        pytest.skip(reason)
    with isolated_network():
        yield


@pytest.fixture
def cloud(network: None, tmp_path: Path) -> Iterator[SimulatedCloud]:
    """A cloud with really running instances, which share the directory `shared` with the test."""
    shared = tmp_path / "shared"
    shared.mkdir()
    with SimulatedCloud(tmp_path / "machines", shared=[shared]) as cloud:
        yield cloud
