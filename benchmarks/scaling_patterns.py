"""The scaling policy beside its peers on the generated arrivals of `docs/scaling.md`: one JSON line for each pattern.

The seed policy, Nomad and AWS's rule are left out. The objective is (paid + w x waiting) / C0 with w = 1; less is
better. Peers are run with the first seed of the boots, our policy with each.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean

from scaler.simulation.engine import Policy, Simulator
from scaler.simulation.measures import PolicyResult, clairvoyant_cost_seconds, measure
from scaler.simulation.our_policy import WorkManagerPolicy, limits_for_scenario
from scaler.simulation.peers import PEERS
from scaler.simulation.system import Scenario
from scaler.simulation.trace import TracedJob
from tests.acceptance.simulate.arrival_patterns import other_patterns
from tests.acceptance.simulate.timetables import several_slots, timetables

LEFT_OUT = {"seed", "nomad", "aws-backlog"}
BOOT_SECONDS = 90.0


def main() -> None:
    """Run the benchmark."""
    patterns = {**{name: (jobs, 1) for name, jobs in other_patterns().items()}, **timetables(), **several_slots()}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling_patterns", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="our figures are means over so many seeds of the boots")
    parser.add_argument("--ours", action="store_true", help="leave out the peers")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="patterns, by the beginning of their names")
    given = parser.parse_args()
    for name, (jobs, slots) in patterns.items():
        if not given.patterns or name.startswith(tuple(given.patterns)):
            figures = compare(jobs, slots, range(1, given.seeds + 1), [] if given.ours else [*PEERS.keys() - LEFT_OUT])
            sys.stdout.write(json.dumps({"pattern": name, "slots": slots, **figures}) + "\n")
            sys.stdout.flush()


def compare(
    jobs: Sequence[TracedJob], slots: int, seeds: Sequence[int], peer_names: Iterable[str]
) -> Mapping[str, object]:
    """Return the figures of our policy, and those of the peer with the best objective."""
    c0_seconds = clairvoyant_cost_seconds(jobs, slots=slots, boot_seconds=BOOT_SECONDS)

    def run(name: str, policy: Callable[[Scenario], Policy], seed: int) -> PolicyResult:
        scenario = Scenario(slots, BOOT_SECONDS, seed=seed)
        done = Simulator(jobs, scenario).run(policy(scenario))
        return measure(name, done, jobs, c0_seconds=c0_seconds, slots=slots, w=1.0, target_seconds=60.0)

    def ours(scenario: Scenario) -> Policy:
        return WorkManagerPolicy(limits_for_scenario(scenario, 1.0))

    runs = [run("workmanager", ours, seed) for seed in seeds]
    figures = {name: round(fmean(getattr(each, name) for each in runs), 4) for name in ("objective", "wait_p99_s")}
    mean_seconds = fmean(job.service_seconds for job in jobs)
    peers = [run(name, partial(_peer, name, mean_seconds), 1) for name in sorted(peer_names)]
    if not peers:
        return figures
    best = min(peers, key=lambda peer: peer.objective)
    dominated_by = [
        peer.policy for peer in peers if peer.paid_s < runs[0].paid_s and peer.wait_mean_s < runs[0].wait_mean_s
    ]
    return {
        **figures,
        "best_peer": best.policy,
        "its_objective": best.objective,
        "its_wait_p99_s": best.wait_p99_s,
        "dominated_by": dominated_by,
    }


def _peer(name: str, mean_seconds: float, scenario: Scenario) -> Policy:
    return PEERS[name](mean_seconds)


if __name__ == "__main__":
    main()
