"""`python -m manager.cluster`: makes a Redis Cluster whole, or says what is missing.

Does what every manager does by itself, once; prints the state as JSON. It ends with 0 when the cluster is whole, with 1
when it was not so in time. With `--hand-over` it prepares the stop of a host, or of one server, instead: the masters
there become replicas, and the writes wait for milliseconds, not until somebody is missed. The managers fail them back
3 s later, so stop it at once.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence, Set

import orjson

from jobqueue.servers.url import parse_redis_url
from jobqueue.settings import exit_with_usage_error, load_settings
from manager.cluster.reconciler import ClusterReconciler
from manager.cluster.slot_ranges import Address, parse_hosts
from manager.settings import ManagerSettings
from processes.logs import configure_logging


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; its exit code."""
    parser = argparse.ArgumentParser(
        prog="manager.cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to wait for it (default 30)")
    parser.add_argument("--hand-over", metavar="IP[:PORT]", help="of the host, or of the server, that is about to stop")
    given = parser.parse_args(arguments)
    settings = load_settings(ManagerSettings, os.environ)
    try:
        groups = parse_hosts(settings.cluster_hosts)
    except ValueError as error:
        exit_with_usage_error(f"WORKMANAGER_CLUSTER_HOSTS: {error}")
    configure_logging()
    steward = ClusterReconciler(groups, parse_redis_url(settings.cluster_url or settings.redis_url).connect)
    members = {address for group in groups for address in group.members}
    leaving = {address for address in members if given.hand_over in (address.host, str(address))}
    if given.hand_over and not leaving:
        exit_with_usage_error(f"--hand-over {given.hand_over}: there is no such host in WORKMANAGER_CLUSTER_HOSTS")
    return asyncio.run(_run(steward, leaving, given.seconds))


async def _run(steward: ClusterReconciler, leaving: Set[Address], seconds: float) -> int:
    try:
        if leaving:
            return 0 if await steward.hand_over(leaving, seconds) else 1
        await steward.wait_until_healthy(seconds)
    finally:
        await steward.stop()
    sys.stdout.write(orjson.dumps(steward.state, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0 if steward.state is not None and steward.state.is_healthy else 1


if __name__ == "__main__":
    sys.exit(main())
