"""`python -m manager.cluster`: bring the Redis Cluster into its configured state, or report what is missing.

Do once what every manager does continuously, and print the cluster's state as JSON. Exit code: 0 if the cluster is
healthy, 1 if it did not become so in time. With `--hand-over`, prepare the stop of a host or of one server instead: its
masters become replicas, so that writes pause for milliseconds instead of the time to detect a failure. The managers
fail the masters back after 3 s, so stop the host at once. With `--served-elsewhere`, change nothing: exit code 0 tells
that another member serves the slots of this server, which has ended, so that it may start empty.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence, Set

import orjson

from jobqueue.servers.login import Login
from jobqueue.servers.topology import Topology
from jobqueue.servers.url import parse_redis_url
from jobqueue.settings import exit_with_usage_error, load_settings
from manager.cluster.function_loader import FunctionLoader
from manager.cluster.reconciler import ClusterReconciler
from manager.cluster.slot_ranges import Address, parse_hosts
from manager.settings import ManagerSettings
from processes.logs import configure_logging
from processes.privacy import keep_memory_private


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code."""
    keep_memory_private()
    parser = argparse.ArgumentParser(
        prog="manager.cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to wait for the cluster (default 30)")
    parser.add_argument("--hand-over", metavar="IP[:PORT]", help="the host or server that is about to stop")
    parser.add_argument("--served-elsewhere", metavar="IP:PORT", help="a server that cannot read its data")
    given = parser.parse_args(arguments)
    settings = load_settings(ManagerSettings, os.environ)
    try:
        slot_ranges = parse_hosts(settings.cluster_hosts)
    except ValueError as error:
        exit_with_usage_error(f"WORKMANAGER_CLUSTER_HOSTS: {error}")
    url_name = "WORKMANAGER_CLUSTER_URL" if settings.cluster_url else "WORKMANAGER_REDIS_URL"
    try:
        url = parse_redis_url(settings.cluster_url or settings.redis_url)
    except ValueError as error:
        exit_with_usage_error(f"{url_name}: {error}")
    configure_logging()
    login = Login(url.user, "WORKMANAGER_CLUSTER_URL", "administrator")
    reconciler = ClusterReconciler(slot_ranges, url.connect, login)
    loader = None
    if settings.cluster_url:
        administered = Topology(settings.cluster_url, require_cluster=True, setting=login.setting, role=login.role)
        loader = FunctionLoader(administered)
    members = {address for slot_range in slot_ranges for address in slot_range.members}
    leaving = {address for address in members if given.hand_over in (address.host, str(address))}
    if given.hand_over and not leaving:
        exit_with_usage_error(f"--hand-over {given.hand_over}: not a host or server of WORKMANAGER_CLUSTER_HOSTS")
    ended = next((address for address in members if given.served_elsewhere == str(address)), None)
    if given.served_elsewhere and ended is None:
        exit_with_usage_error(f"--served-elsewhere {given.served_elsewhere}: not a server of WORKMANAGER_CLUSTER_HOSTS")
    return asyncio.run(_run(reconciler, loader, leaving, ended, given.seconds))


async def _run(
    reconciler: ClusterReconciler,
    loader: FunctionLoader | None,
    leaving: Set[Address],
    ended: Address | None,
    seconds: float,
) -> int:
    try:
        if ended is not None:
            return 0 if await reconciler.is_served_elsewhere(ended) else 1
        if leaving:
            return 0 if await reconciler.hand_over(leaving, seconds) else 1
        if await reconciler.wait_until_healthy(seconds) and loader is not None:
            await loader.load()
    finally:
        await reconciler.stop()
        if loader is not None:
            await loader.stop()
    sys.stdout.write(orjson.dumps(reconciler.state, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0 if reconciler.state is not None and reconciler.state.is_healthy else 1


if __name__ == "__main__":
    sys.exit(main())
