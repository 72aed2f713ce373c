"""Network partition scenarios: host 1 of a cluster is isolated, or its master killed, while a client enqueues.

`three_host_cluster` describes the hosts. Run as root:

    unshare --net --mount --pid --fork --kill-child \\
        python -m tests.integration.jobqueue.isolation.isolation_scenario DIRECTORY

It prints one line of JSON per scenario (`Outcome`). All processes end with this one.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.integration.jobqueue.isolation.three_host_cluster import Acknowledged, ThreeHostCluster
from tests.waiting import until

STEADY_SECONDS = 1.5
STEADY_BYTES = 50_000
"""Size of a client's output with more than a thousand acknowledged jobs."""
TRUSTED_BYTES = 100_000
"""Growth of a client's output after which the master must be trusted without its replica."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a scenario.

    Attributes:
        acknowledged: number of jobs whose enqueue was acknowledged.
        lost: how many of them are missing in the end.
        replica_promoted: whether A's replica is the master in the end.
    """

    scenario: str
    acknowledged: int
    lost: int
    replica_promoted: bool


@dataclass(frozen=True, slots=True)
class Scenario:
    """How host 1 is isolated, or its master killed.

    Attributes:
        client_host: host of the client: 1, with A, or 4, from which it reaches both sides of the partition.
        replica_returns: first, A's replica is killed and started again; the partition begins as soon as it is linked.
        drop_replica_link: A loses the connection to its replica with the partition, instead of after a timeout.
        wait_for_promotion: the partition lasts until A's replica has been promoted.
        master_killed: there is no partition. A is killed, and started after its replica has been promoted.
    """

    name: str
    isolation_seconds: float
    options: tuple[str, ...] = ()
    client_host: int = 1
    replica_returns: bool = False
    drop_replica_link: bool = False
    wait_for_promotion: bool = True
    master_killed: bool = False


SCENARIOS = (
    Scenario("without replication wait", 5.0, ("--unreplicated",)),
    Scenario("short isolation", 2.0, wait_for_promotion=False),
    Scenario("long isolation", 6.0),
    Scenario("isolation as a replica returns", 6.0, replica_returns=True),
    Scenario("killed as a replica returns", 0.0, replica_returns=True, master_killed=True),
    Scenario("client on both sides", 6.0, client_host=4, drop_replica_link=True),
)


def run_scenario(cluster: ThreeHostCluster, scenario: Scenario) -> Outcome:
    """Isolate host 1 or kill its master while a client enqueues, and count acknowledged and lost jobs."""
    cluster.restore()
    with cluster.client(scenario.client_host, *scenario.options) as path:
        time.sleep(STEADY_SECONDS)
        until(lambda: path.stat().st_size > STEADY_BYTES, wanted="a thousand acknowledged jobs")
        if scenario.replica_returns:
            cluster.replica.kill()
            trusted_at = path.stat().st_size + TRUSTED_BYTES
            until(lambda: path.stat().st_size > trusted_at, wanted="a master that is trusted without its replica")
            cluster.replica.start()
            cluster.replica.wait_for_replication_link()
        if scenario.master_killed:
            cluster.a.kill()
            until(cluster.replica.is_master, wanted="the promotion of A's replica")
        else:
            cluster.isolate_first_host(
                scenario.isolation_seconds,
                drop_replica_link=scenario.drop_replica_link,
                wait_for_promotion=scenario.wait_for_promotion,
            )
        time.sleep(STEADY_SECONDS)
    if scenario.master_killed:
        cluster.a.start()
    acknowledged = Acknowledged.read(path)
    return Outcome(
        scenario.name,
        acknowledged=len(acknowledged.ids),
        lost=cluster.count_lost(acknowledged),
        replica_promoted=not cluster.a.is_master(),
    )


if __name__ == "__main__":
    cluster = ThreeHostCluster(Path(sys.argv[1]))
    for scenario in SCENARIOS:
        sys.stdout.write(json.dumps(asdict(run_scenario(cluster, scenario))) + "\n")
        sys.stdout.flush()
