"""Redis' own server, beside the embedded Valkey.

Debian's `redis-tools` has it under another name, `redis-check-rdb`: which program it is follows from its name.
"""

import shutil
from pathlib import Path

import pytest

_NAMES = ("redis-server", "redis-check-rdb")


def redis_server_binary(directory: Path) -> str:
    """Return the path of a Redis server, by a link in `directory` if it goes by another name; skip without one."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Redis server on the PATH: apt-get install redis-tools")
    link = directory / "redis-server"
    link.symlink_to(found)
    return str(link)
