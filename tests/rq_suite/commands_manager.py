"""What of a manager RQ's tests of commands need: it hears them, and passes them on. `commands_manager.py REDIS_URL`.

Empties the database, and prints a line then.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from jobqueue.maintenance.rq_commands import pass_on_rq_commands
from jobqueue.sharding.shards import Shards


async def main() -> None:
    shards = await Shards.connect(sys.argv[1])
    # RQ's tests want an empty database.
    await shards.all[0].execute(("FLUSHDB",))
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    await pass_on_rq_commands(shards.all[0])


asyncio.run(main())
