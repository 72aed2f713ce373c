"""Fixtures: one system for all examples."""

from collections.abc import Iterator

import pytest

from tests.acceptance.examples.checkout import Checkout
from workmanager.client import Client


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout in which `workmanager up` runs."""
    checkout = Checkout(tmp_path_factory.mktemp("examples") / "checkout")
    try:
        checkout.start()
        yield checkout
    finally:
        checkout.up.kill_all()


@pytest.fixture
def client(checkout: Checkout) -> Iterator[Client]:
    with Client(checkout.up.urls, retry_seconds=30) as client:
        yield client
