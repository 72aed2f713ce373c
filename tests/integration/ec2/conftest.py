"""A simulated AWS of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ec2.simulated_cloud import Cloud
from tests.ec2.network import own_network, why_unavailable


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud whose instances do not really run."""
    with Cloud(tmp_path, boots=False, address="127.0.0.1") as cloud:
        yield cloud


@pytest.fixture
def network() -> Iterator[None]:
    """A network of the test's own."""
    if reason := why_unavailable():
        pytest.skip(reason)
    with own_network():
        yield


@pytest.fixture
def cloud(network: None, tmp_path: Path) -> Iterator[Cloud]:
    """A cloud whose instances really run; they share the directory `shared` with the test."""
    shared = tmp_path / "shared"
    shared.mkdir()
    with Cloud(tmp_path / "machines", shared=[shared]) as cloud:
        yield cloud
