"""`python -m jobqueue.servers.check_url`: check WORKMANAGER_REDIS_URL, without waiting for a Redis that is down.

Exit code: 0, or 2 with one line on stderr if the URL is wrong or Redis does not have its database.
"""

import asyncio
import os
import sys

from jobqueue.errors import ShardUnavailable, WrongDatabase
from jobqueue.servers.topology import Topology
from jobqueue.settings import QueueSettings, exit_with_usage_error, load_settings


def main() -> int:
    """Run the check; return the exit code."""
    settings = load_settings(QueueSettings, os.environ)
    try:
        topology = Topology(settings.redis_url)
        asyncio.run(_refresh(topology))
    except (ValueError, WrongDatabase) as error:
        exit_with_usage_error(f"WORKMANAGER_REDIS_URL: {error}")
    except ShardUnavailable:
        pass  # The managers wait for it, and say so.
    return 0


async def _refresh(topology: Topology) -> None:
    try:
        await topology.refresh()
    finally:
        await topology.close()


if __name__ == "__main__":
    sys.exit(main())
