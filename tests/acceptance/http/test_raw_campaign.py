"""A running manager under raw connections of every kind. `./scripts/dev.sh raw` does the same for longer."""

import asyncio
from pathlib import Path

from tests.acceptance.http.raw_campaign import attack, attacked_manager


def test_valid_and_damaged_requests_leave_a_manager_as_it_was(tmp_path: Path) -> None:
    with attacked_manager(tmp_path) as (manager, keys):
        # A stream that a gone client has asked for more behind it can last until its next ping.
        found = asyncio.run(attack(manager, keys, 3.0, "ci", without="/events"))
    assert found.faults == []
    assert {200, 400, 401, 403} <= set(found.statuses)
