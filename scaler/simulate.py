"""`python -m scaler.simulate`: run this project's scaling policy and those of its peers on recorded arrivals.

Prints one JSON object per policy on stdout. With `--compare` it also prints a table on stderr and writes two charts.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scaler.simulation.charts import Point, draw_cost_wait_chart, draw_fleet_chart
from scaler.simulation.engine import Policy, SimulatedRun, Simulator
from scaler.simulation.measures import PolicyResult, clairvoyant_cost_seconds, demand_curve, measure
from scaler.simulation.our_policy import WorkManagerPolicy, limits_for_scenario
from scaler.simulation.peers import PEERS
from scaler.simulation.svg import MatplotlibMissing, require_matplotlib
from scaler.simulation.system import Scenario
from scaler.simulation.trace import FORMATS, TracedJob, TraceError, format_of, read_trace

OUR_POLICY = "workmanager"
PARETO_WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
DEFAULT_WAIT_TARGET_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Experiment:
    """The trace and the conditions on which every policy is measured.

    Attributes:
        c0_seconds: the least that can be paid if no job waits, with all arrivals known in advance.
        wait_target_seconds: a longer wait counts as missed.
        tunes_w_to_target: whether our policy knows the target and adjusts w to reach it.
    """

    jobs: Sequence[TracedJob]
    scenario: Scenario
    w: float
    c0_seconds: float
    wait_target_seconds: float
    tunes_w_to_target: bool

    def run(self, name: str, w: float) -> tuple[PolicyResult, SimulatedRun]:
        """Simulate the named policy. `w` is the wait weight of the objective and of our own policy."""
        run = Simulator(self.jobs, self.scenario).run(self._policy(name, w))
        result = measure(
            name,
            run,
            self.jobs,
            c0_seconds=self.c0_seconds,
            slots=self.scenario.slots,
            w=w,
            target_seconds=self.wait_target_seconds,
        )
        return result, run

    def _policy(self, name: str, w: float) -> Policy:
        if name != OUR_POLICY:
            return PEERS[name](sum(job.service_seconds for job in self.jobs) / len(self.jobs))
        return WorkManagerPolicy(
            limits_for_scenario(self.scenario, w),
            boot_seconds=self.scenario.boot_median_seconds,
            wait_target_seconds=self.wait_target_seconds if self.tunes_w_to_target else None,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 2 if the trace cannot be read or the charts cannot be drawn."""
    options = _parser().parse_args(arguments)
    try:
        if options.compare:
            require_matplotlib()
        jobs = read_trace(options.trace, options.format or format_of(options.trace))
    except MatplotlibMissing as error:
        _print_error(f"--compare: {error}")
        return 2
    except (TraceError, OSError, UnicodeDecodeError) as error:
        _print_error(f"{options.trace}: {error}")
        return 2
    experiment = _experiment(options, jobs)
    if options.compare:
        _compare(experiment, options.pictures)
    else:
        _print_line(experiment.run(options.policy, options.w)[0])
    return 0


def _experiment(options: argparse.Namespace, jobs: Sequence[TracedJob]) -> Experiment:
    return Experiment(
        jobs=jobs,
        scenario=Scenario(options.slots, options.boot_median, max_workers=options.max_workers, seed=options.seed),
        w=options.w,
        c0_seconds=clairvoyant_cost_seconds(jobs, slots=options.slots, boot_seconds=options.boot_median),
        wait_target_seconds=options.wait_target or DEFAULT_WAIT_TARGET_SECONDS,
        tunes_w_to_target=options.wait_target is not None,
    )


def _compare(experiment: Experiment, folder: Path) -> None:
    ours, our_run = experiment.run(OUR_POLICY, experiment.w)
    _print_line(ours)
    peers = []
    for name in PEERS:
        peer, _ = experiment.run(name, experiment.w)
        _print_line(peer)
        peers.append(peer)
    _print_table([ours, *peers], experiment)
    by_weight = {f"w={weight:g}": experiment.run(OUR_POLICY, weight)[0] for weight in PARETO_WEIGHTS}
    _print_error(f"{OUR_POLICY} by w, each with its own objective:")
    _print_rows(list(by_weight.items()))
    folder.mkdir(parents=True, exist_ok=True)
    charts = {
        "front.svg": draw_cost_wait_chart(
            [_point(label, result) for label, result in by_weight.items()],
            [_point(peer.policy, peer) for peer in peers],
        ),
        "fleet.svg": draw_fleet_chart(our_run.fleet, demand_curve(experiment.jobs, slots=experiment.scenario.slots)),
    }
    for name, chart in charts.items():
        (folder / name).write_text(chart)
        _print_error(f"wrote {folder / name}")


def _point(label: str, result: PolicyResult) -> Point:
    return label, result.cost_per_c0, result.wait_mean_s


def _print_line(result: PolicyResult) -> None:
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
    sys.stdout.flush()


def _print_error(text: str) -> None:
    sys.stderr.write(text + "\n")


def _print_table(results: Sequence[PolicyResult], experiment: Experiment) -> None:
    _print_error(
        f"{len(experiment.jobs)} jobs, C0 = {experiment.c0_seconds:.0f} instance-seconds, w = {experiment.w:g}"
    )
    ordered = sorted(results, key=lambda result: result.objective)
    _print_rows([(result.policy, result) for result in ordered])


def _print_rows(results: Sequence[tuple[str, PolicyResult]]) -> None:
    columns = ("", "cost/C0", "mean wait", "p50", "p95", "p99", "missed", "peak", "launches", "objective")
    rows = [columns, *(_row(name, result) for name, result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        _print_error("  ".join([row[0].ljust(widths[0]), *cells]))


def _row(name: str, result: PolicyResult) -> tuple[str, ...]:
    waits = (result.wait_mean_s, result.wait_p50_s, result.wait_p95_s, result.wait_p99_s)
    return (
        name,
        f"{result.cost_per_c0:.3f}",
        *(f"{wait:.1f}" for wait in waits),
        f"{result.slo_missed:.2%}",
        str(result.peak),
        str(result.launches),
        f"{result.objective:.4f}",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scaler.simulate", description=__doc__)
    parser.add_argument("--trace", type=Path, required=True, metavar="FILE", help="recorded arrivals; may be gzipped")
    parser.add_argument("--format", choices=sorted(FORMATS), help="format of the trace (default: from its file name)")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--policy", choices=(OUR_POLICY, *PEERS), metavar="NAME", help=f"{OUR_POLICY}, or {', '.join(PEERS)}"
    )
    which.add_argument(
        "--compare", action="store_true", help="run all policies, print a table and draw charts (needs matplotlib)"
    )
    parser.add_argument(
        "--w", type=_positive(float), default=1.0, help="instance-seconds that one second of waiting is worth"
    )
    parser.add_argument(
        "--wait-target",
        type=_positive(float),
        metavar="SECONDS",
        help="longest acceptable wait; our policy adjusts w to reach it (default: 60, without adjusting w)",
    )
    parser.add_argument(
        "--boot-median",
        type=_positive(float),
        default=90.0,
        metavar="SECONDS",
        help="median of the lognormal boot time, sigma 0.25",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the boot times")
    parser.add_argument("--slots", type=_positive(int), default=1, help="jobs that an instance runs at a time")
    parser.add_argument("--max-workers", type=_positive(int), default=1000, help="limit for every policy")
    parser.add_argument(
        "--pictures", type=Path, default=Path(), metavar="FOLDER", help="where --compare writes the charts"
    )
    return parser


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
        return value

    return parse


if __name__ == "__main__":
    sys.exit(main())
