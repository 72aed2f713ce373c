"""Regret of the scaling policy on a trace: beside a lower bound of any policy, and beside a schedule made in hindsight.

Each boot takes the median, and the first one begins with the first job. Prints one JSON line. All figures are
objectives, (paid + w x waiting) / C0:

- ours: our policy.
- bound: no policy has a lower one. bound_at_most: the same programme cannot prove more.
- schedule: a schedule that was made in hindsight. No bound, however it is found, is above it. That does not hold with
  several slots: then its running jobs move between instances, which no policy can have them do.
- times_bound, times_schedule: ours as a multiple of them.
"""

import argparse
import heapq
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.offline_bound import offline_bound
from scaler.simulation.engine import Simulator
from scaler.simulation.measures import clairvoyant_cost_seconds
from scaler.simulation.our_policy import WorkManagerPolicy, limits_for_scenario
from scaler.simulation.system import Scenario
from scaler.simulation.trace import FORMATS, TracedJob, format_of, read_trace

BOOT_SECONDS = 90.0
FLEET_GROWTH = 1.1
"""Ratio of two fleet sizes that are tried."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling_bound",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--trace", type=Path, required=True, metavar="FILE", help="recorded arrivals; may be gzipped")
    parser.add_argument("--format", choices=sorted(FORMATS), help="format of the trace (default: from its file name)")
    parser.add_argument("--slots", type=int, default=1, help="jobs that an instance runs at a time")
    parser.add_argument("--w", type=float, default=1.0, help="instance-seconds that a second of waiting is worth")
    parser.add_argument(
        "--step", type=float, default=2.0, metavar="SECONDS", help="smaller steps give a higher bound, and take longer"
    )
    given = parser.parse_args()
    jobs = read_trace(given.trace, given.format or format_of(given.trace))
    c0_seconds = clairvoyant_cost_seconds(jobs, slots=given.slots, boot_seconds=BOOT_SECONDS)
    bound = offline_bound(jobs, slots=given.slots, boot_seconds=BOOT_SECONDS, w=given.w, step_seconds=given.step)
    schedule = cost_in_hindsight(jobs, slots=given.slots, boot_seconds=BOOT_SECONDS, w=given.w)
    ours = _our_cost(jobs, given.slots, given.w)
    result = {
        "trace": given.trace.name,
        "ours": ours / c0_seconds,
        "bound": bound.seconds / c0_seconds,
        "bound_at_most": bound.at_most_seconds / c0_seconds,
        "schedule": schedule / c0_seconds,
        "times_bound": ours / bound.seconds,
        "times_schedule": ours / schedule,
    }
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in result.items()}
    sys.stdout.write(json.dumps(rounded) + "\n")


def cost_in_hindsight(jobs: Sequence[TracedJob], *, slots: int, boot_seconds: float, w: float) -> float:
    """Return the least cost and waiting of schedules with a fixed number of slots, first in, first out.

    The first job finds no worker before a boot. Workers are removed in gaps that cost more than a launch. If they have
    several slots, running jobs move so that as few workers as possible are busy.
    """
    costs, count = [], 1
    while True:
        starts = _fixed_slots(jobs, count, boot_seconds)
        waiting = sum(at - job.submit_seconds for at, job in zip(starts, jobs, strict=True))
        delayed = sorted(job._replace(submit_seconds=at) for at, job in zip(starts, jobs, strict=True))
        costs.append(w * waiting + clairvoyant_cost_seconds(delayed, slots=slots, boot_seconds=boot_seconds))
        earliest = jobs[0].submit_seconds + boot_seconds
        if all(at == max(earliest, job.submit_seconds) for at, job in zip(starts, jobs, strict=True)):
            return min(costs)  # nothing waits but for the first boot
        count = max(count + 1, int(count * FLEET_GROWTH))


def _fixed_slots(jobs: Sequence[TracedJob], count: int, boot_seconds: float) -> list[float]:
    """Return when each job starts on so many slots."""
    free = [jobs[0].submit_seconds + boot_seconds] * count
    starts = []
    for job in jobs:
        starts.append(max(job.submit_seconds, free[0]))
        heapq.heapreplace(free, starts[-1] + job.service_seconds)
    return starts


def _our_cost(jobs: Sequence[TracedJob], slots: int, w: float) -> float:
    scenario = Scenario(slots, BOOT_SECONDS, boot_sigma=0.0)
    run = Simulator(jobs, scenario).run(WorkManagerPolicy(limits_for_scenario(scenario, w)))
    return run.paid_seconds + w * sum(run.waits)


if __name__ == "__main__":
    main()
