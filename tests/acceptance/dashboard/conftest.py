"""Fixtures: managers as browsers open them, with and without keys."""

from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.dashboard.pages import Visitor
from tests.acceptance.http.conftest import Start
from tests.acceptance.http.conftest import manager as manager
from tests.acceptance.http.conftest import server as server
from tests.acceptance.http.conftest import start as start
from tests.acceptance.manager.keyed_managers import OPERATOR
from tests.acceptance.manager.manager_program import ManagerProgram
from workmanager.local.valkey import ValkeyServer


@pytest.fixture(scope="module")
def keyed(start: Start) -> ManagerProgram:
    """A manager that asks for keys."""
    return start(API_KEYS=OPERATOR)


@pytest.fixture
def api(manager: ManagerProgram, server: ValkeyServer) -> Iterator[httpx.Client]:
    """A client of a manager without keys, on an empty queue."""
    server.command("FLUSHALL")
    with manager.client() as client:
        yield client


@pytest.fixture
def visitor(api: httpx.Client) -> Visitor:
    """Somebody who looks at that manager's dashboard."""
    return Visitor(api)


@pytest.fixture
def stranger(keyed: ManagerProgram) -> Iterator[Visitor]:
    """Somebody who has not signed in."""
    with keyed.client() as client:
        yield Visitor(client)
