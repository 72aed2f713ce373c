"""Fixtures: managers as browsers open them, with and without keys. All tests share them: a start takes seconds."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.dashboard.pages import Visitor
from tests.acceptance.dashboard.test_pages import submit
from tests.acceptance.http.browser import Browser, browser
from tests.acceptance.http.conftest import Start
from tests.acceptance.manager.conftest import HEADER, Worker
from tests.acceptance.manager.keyed_managers import OPERATOR
from tests.acceptance.manager.manager_program import ManagerProgram
from workmanager.local.valkey import ValkeyServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """A Redis server."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"), settings={"appendfsync": "no"})
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def start(server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Return a function that starts managers. Kill them afterwards, and check that none logged an error."""
    programs: list[ManagerProgram] = []
    directory = tmp_path_factory.mktemp("managers")

    def start_one(*arguments: str, directory: Path = directory, **settings: str) -> ManagerProgram:
        programs.append(ManagerProgram(directory, server.url, arguments, **settings).wait_until_ready())
        return programs[-1]

    yield start_one
    for program in programs:
        program.kill()
    for program in programs:
        assert "Traceback" not in program.log, program.log[-3000:]
        assert " ERROR " not in program.log


@pytest.fixture(scope="session")
def manager(start: Start) -> ManagerProgram:
    """A manager without keys, which may send callbacks to a port that nobody listens on."""
    return start(CALLBACK_ALLOW="127.0.0.1:1")


@pytest.fixture(scope="session")
def keyed(start: Start) -> ManagerProgram:
    """A manager that asks for keys."""
    return start(API_KEYS=OPERATOR)


@pytest.fixture(scope="session")
def prefixed(start: Start) -> ManagerProgram:
    """A manager below a path prefix, which hides the arguments of a function."""
    return start(ROOT_PATH="/queue", HIDE_ARGUMENTS="sleep")


@pytest.fixture
def api(manager: ManagerProgram, server: ValkeyServer) -> Iterator[httpx.Client]:
    """A client of the manager without keys, on an empty queue."""
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


@pytest.fixture(scope="session")
def _tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as tab:
        yield tab


@pytest.fixture
def tab(_tab: Browser) -> Iterator[Browser]:
    """A browser. Whatever a page does, its console must stay empty."""
    _tab.complaints(), _tab.requested_urls()
    yield _tab
    assert _tab.complaints() == []


@pytest.fixture
def all_kinds(api: httpx.Client, server: ValkeyServer) -> None:
    """Something on every page."""
    submit(api, id="some")
    Worker(server.url).fail_all(f"{HEADER}\nValueError: {'long' * 100}")
    submit(api, queue="b", callback_url="http://127.0.0.1:1/", id="called")
    api.post("/jobs/called/cancel").raise_for_status()
    flow = {"one": {"function": "noop"}, "two": {"function": "noop", "depends_on": ["one"]}}
    api.post("/workflows", json={"id": "flow", "jobs": flow}).raise_for_status()
    submit(api, limits=[{"key": "shop", "concurrency": 2}])
    api.put("/limits/shop", json={"concurrency": 3}).raise_for_status()
    api.put("/schedules/nightly", json={"cron": "0 3 * * *", "job": {"function": "noop"}}).raise_for_status()
    api.post("/queues/b/pause").raise_for_status()
