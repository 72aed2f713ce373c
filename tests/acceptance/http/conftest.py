"""Fixtures: one manager for the tests of a module, as programs of others talk to it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.manager.manager_program import ManagerProgram
from workmanager.local.valkey import ValkeyServer

Start = Callable[..., ManagerProgram]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One Redis server for this module."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
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
        assert "Traceback" not in program.log
        assert " ERROR " not in program.log


@pytest.fixture(scope="module")
def manager(start: Start) -> ManagerProgram:
    """A manager without keys."""
    return start()
