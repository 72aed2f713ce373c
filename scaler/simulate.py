"""`python -m scaler.simulate`: this project's scaling policy, and its peers', on recorded arrivals and a virtual clock.

One JSON object for each policy goes to stdout; with `--compare` their table goes to stderr, and two pictures to files.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scaler.simulation.charts import draw_cost_wait_chart, draw_fleet_chart
from scaler.simulation.engine import Policy, Scenario, SimulatedRun, SimulatedSystem
from scaler.simulation.measures import PolicyResult, clairvoyant_cost_seconds, demand_curve, measure
from scaler.simulation.our_policy import WorkManagerPolicy, limits_for_scenario
from scaler.simulation.peers import PEERS
from scaler.simulation.trace import FORMATS, TracedJob, TraceError, read_trace

OUR_POLICY = "workmanager"
PARETO_WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True, slots=True)
class Experiment:
    """What every policy is measured on.

    Attributes:
        c0_seconds: what a clairvoyant would pay to let no job wait.
        wait_target_seconds: waits beyond it are missed; the policy is not told.
        follow_target: the policy is told, and sets w by it.
    """

    jobs: Sequence[TracedJob]
    scenario: Scenario
    w: float
    c0_seconds: float
    wait_target_seconds: float
    tunes_w_to_target: bool

    def run(self, name: str, w: float) -> tuple[PolicyResult, SimulatedRun]:
        """Simulates the policy of that name; `w` is the weight of the objective, and our own policy's."""
        run = SimulatedSystem(self.jobs, self.scenario).run(self._policy(name, w))
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
    """Runs the command; its exit code: 2 where the trace cannot be read."""
    options = _parser().parse_args(arguments)
    try:
        jobs = read_trace(options.trace, options.format or _format_of(options.trace))
    except (TraceError, OSError, UnicodeDecodeError) as error:
        _say(f"{options.trace}: {error}")
        return 2
    study = _study(options, jobs)
    if not options.compare:
        _print_line(study.run(options.policy, options.w)[0])
        return 0
    _compare(study, options.pictures)
    return 0


def _study(options: argparse.Namespace, jobs: Sequence[TracedJob]) -> Experiment:
    world = Scenario(options.slots, options.boot_median, max_workers=options.max_workers, seed=options.seed)
    c0_seconds = clairvoyant_cost_seconds(jobs, slots=options.slots, boot_seconds=options.boot_median)
    target_seconds = options.wait_target
    return Experiment(jobs, world, options.w, c0_seconds, target_seconds or 60.0, target_seconds is not None)


def _compare(study: Experiment, folder: Path) -> None:
    results = []
    for name in (OUR_POLICY, *PEERS):
        result, run = study.run(name, study.w)
        _print_line(result)
        results.append(result)
        if name == OUR_POLICY:
            fleet = run.fleet
    _print_table(results, study)
    front = [study.run(OUR_POLICY, weight)[0] for weight in PARETO_WEIGHTS]
    _say(f"{OUR_POLICY} by w, each with its own objective:")
    _print_rows([(f"w={weight:g}", result) for weight, result in zip(PARETO_WEIGHTS, front, strict=True)])
    folder.mkdir(parents=True, exist_ok=True)
    labels = [f"w={weight:g}" for weight in PARETO_WEIGHTS]
    points = [(result.cost_per_c0, result.wait_mean_s) for result in front]
    peers = [(result.policy, result.cost_per_c0, result.wait_mean_s) for result in results[1:]]
    pictures = (
        ("front.svg", draw_cost_wait_chart(list(zip(labels, points, strict=True)), peers)),
        ("fleet.svg", draw_fleet_chart(fleet, demand_curve(study.jobs, slots=study.scenario.slots))),
    )
    for name, picture in pictures:
        (folder / name).write_text(picture)
        _say(f"wrote {folder / name}")


def _print_line(result: PolicyResult) -> None:
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _print_table(results: Sequence[PolicyResult], study: Experiment) -> None:
    _say(f"{len(study.jobs)} jobs, C0 = {study.c0_seconds:.0f} instance-seconds, w = {study.w:g}")
    ordered = sorted(results, key=lambda result: result.objective)
    _print_rows([(result.policy, result) for result in ordered])


def _print_rows(results: Sequence[tuple[str, PolicyResult]]) -> None:
    columns = ("", "cost/C0", "mean wait", "p50", "p95", "p99", "missed", "peak", "launches", "objective")
    rows = [columns, *(_row(name, result) for name, result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        _say("  ".join([row[0].ljust(widths[0]), *cells]))


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


def _format_of(trace: Path) -> str:
    """By the name: SWF logs end in it, Azure's traces begin with it."""
    if ".swf" in trace.name:
        return "swf"
    return "azure" if trace.name.startswith("Azure") else "csv"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scaler.simulate", description=__doc__)
    parser.add_argument("--trace", type=Path, required=True, metavar="FILE", help="recorded arrivals; may be gzipped")
    parser.add_argument("--format", choices=sorted(FORMATS), help="of the trace (default: told from its name)")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--policy", choices=(OUR_POLICY, *PEERS), metavar="NAME", help=f"{OUR_POLICY}, or {', '.join(PEERS)}"
    )
    which.add_argument("--compare", action="store_true", help="all of them, a table and pictures")
    parser.add_argument("--w", type=_positive(float), default=1.0, help="instance-seconds a job-second waited is worth")
    parser.add_argument("--wait-target", type=_positive(float), metavar="SECONDS", help="set w by it (else 60 counts)")
    parser.add_argument(
        "--boot-median", type=_positive(float), default=90.0, metavar="SECONDS", help="lognormal, sigma 0.25"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the boot times")
    parser.add_argument("--slots", type=_positive(int), default=1, help="jobs that an instance runs at a time")
    parser.add_argument("--max-workers", type=_positive(int), default=1000, help="for every policy")
    parser.add_argument("--pictures", type=Path, default=Path(), metavar="FOLDER", help="where --compare writes them")
    return parser


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    return parse


if __name__ == "__main__":
    sys.exit(main())
