"""The system of the demo, where it does not come up."""

import sys

import pytest

from workmanager.errors import ServerError
from workmanager.local.demo_system import running_system


def test_a_system_that_ends_at_its_start_is_not_said_to_have_been_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ServerError, match="`workmanager up` ended at its start"), running_system(max_workers=1):
        pass
