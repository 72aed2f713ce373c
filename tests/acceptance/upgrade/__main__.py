"""Replace the programs of an earlier version by this one's under load, and check every job.

`./scripts/dev.sh upgrade REVISION` runs managers and workers of that revision of this repository, and replaces them one
after the other by those of these sources: managers first, workers first, managers and a worker and then back, and
`workmanager up` as a whole; with and without Redis users, on one server or a cluster (`--cluster`). Clients submit,
pull and look at everything, while the servers are restarted, too. Exits with 1 if a job was lost, doubled or ended
otherwise than it should, if anything was answered with 500, or if a program logged an error.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

from tests.acceptance.upgrade.rolling_upgrade import ORDERS, USERS, RollingUpgrade
from tests.acceptance.upgrade.versions import Version
from workmanager.errors import ServerError
from workmanager.local import valkey


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev.sh upgrade", description=__doc__)
    parser.add_argument("revision", help="of this repository, such as a tag or HEAD~50")
    parser.add_argument("--to", default="", help="another revision instead of these sources; HEAD~50 goes back")
    parser.add_argument("--order", action="append", choices=ORDERS, help="what is replaced first (each in turn)")
    parser.add_argument(
        "--users", action="append", choices=USERS, help="whose Redis users there are meanwhile (each in turn)"
    )
    parser.add_argument("--cluster", action="store_true", help="on six servers, three of them masters, instead of one")
    parser.add_argument("--server", default="", help="program of the Redis servers (the embedded Valkey); without `up`")
    parser.add_argument("--seconds", type=float, default=3, help="between two replacements (3)")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="upgrade-"))
    old, new = Version(options.revision, directory), Version(options.to, directory)
    if options.server:
        valkey.server_binary = lambda: options.server
    are_wrong = []
    for order, users in product(options.order or ORDERS, options.users or USERS):
        if (order == "up" and (users != "none" or options.server)) or (users == "hosts" and not options.cluster):
            continue
        own_directory = directory / f"{order}-{users}"
        upgrade = RollingUpgrade(old, new, order, users, options.seconds, own_directory, options.cluster)
        try:
            asyncio.run(upgrade.run())
        except (AssertionError, ServerError, subprocess.TimeoutExpired) as error:
            upgrade.faults.append(f"{type(error).__name__}: {error}")
        are_wrong.append(bool(upgrade.faults))
        say(f"order {order}, users {users}: {'; '.join(upgrade.notes)}: {len(upgrade.faults)} faults")
        for fault in upgrade.faults:
            say(f"  {fault}")
    say(f"logs: {directory}")
    return int(any(are_wrong))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
