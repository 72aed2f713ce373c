"""Scaling rules of other autoscalers, one per file, without their bugs: they never terminate a busy worker.

If a rule leaves a choice, the peer gets the better one: no upper bound of its own, launches that never fail and never
happen twice, and jobs that go to the most recently used instance, so that the others run empty.
"""

from collections.abc import Callable, Mapping

from scaler.simulation.engine import Policy
from scaler.simulation.peers.aws_backlog import AwsBacklog
from scaler.simulation.peers.buildkite import Buildkite
from scaler.simulation.peers.dask import Dask
from scaler.simulation.peers.github_runners import GithubRunners
from scaler.simulation.peers.jenkins import Jenkins
from scaler.simulation.peers.karpenter import Karpenter
from scaler.simulation.peers.keda import Keda
from scaler.simulation.peers.nomad import Nomad
from scaler.simulation.peers.parallelcluster import ParallelCluster
from scaler.simulation.peers.ray import Ray
from scaler.simulation.peers.seed import Seed

PEERS: Mapping[str, Callable[[float], Policy]] = {
    "seed": lambda _: Seed(),
    "buildkite": lambda _: Buildkite(),
    "keda": lambda _: Keda(),
    "dask": Dask,
    "ray": lambda _: Ray(),
    "karpenter": lambda _: Karpenter(),
    "nomad": lambda _: Nomad(),
    "jenkins": lambda _: Jenkins(),
    "github-runners": lambda _: GithubRunners(),
    "parallelcluster": lambda _: ParallelCluster(),
    "aws-backlog": AwsBacklog,
}
"""Policy factories by name. Each gets the true mean service time in seconds, which only some use."""
