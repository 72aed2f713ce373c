"""What a job costs that asks for something: jobs/s of one worker with one slot, and the time to queue joins.

A join is five jobs, and one that runs when they have finished: BullMQ's flow, Celery's chord, RQ's `depends_on`. No
limit is ever reached, so that its bookkeeping is measured and no waiting; BullMQ's is its worker's `limiter`. Schedules
are always due: one manager's part enqueues their runs while the worker runs these. BullMQ's worker does both.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.measured_programs import MeasuredProgram, run_to_end, running_program
from benchmarks.harness.peers import Peer, all_peers
from benchmarks.harness.preload import preload_jobs, preload_joins
from benchmarks.harness.redis_servers import BenchmarkRedis, redis_server
from benchmarks.harness.workmanager_programs import count_finished, running_worker, wait_for_idle_worker
from benchmarks.schedules import due_schedules
from benchmarks.worker_noop import measure_drain_rate, measure_peer
from jobqueue.model import Limit

_WIDTH = 5
_HOSTS = 50
_SCHEDULES = 500
_PLAIN, _JOINS, _REPEATED = "workmanager", "workmanager, joins", "workmanager, schedules"
FEATURES: Mapping[str, Callable[[int], Mapping[str, Any]]] = {
    "workmanager, rate": lambda _: {"limits": (Limit("all", starts=10**9, seconds=1.0, burst=10**9),)},
    "workmanager, concurrency": lambda _: {"limits": (Limit("all", concurrency=10**6),)},
    "workmanager, fair keys": lambda number: {"fair_key": f"tenant{number % 10}"},
    "workmanager, label": lambda number: {"labels": json.dumps({"order": str(number % 100)})},
    "workmanager, callback": lambda number: {"callback": _callback(f"host{number % _HOSTS}.example.com")},
}
"""Fields of the `NewJob` with a number, by the contestant's name."""
_OUR_RATE = 10_000
_REPEATED_RATE = 2_000
_JOINING_PEERS = {"bullmq": 2_000, "celery": 400, "rq SimpleWorker": 300}
"""Peers with joins, and roughly how many jobs of joins they run in a second."""
_MOST_CALLBACKS = 50_000
"""That wait on one shard (`docs/callbacks.md`); further ones would be dropped, which is cheaper."""


def main() -> None:
    """Run the benchmark."""
    options = parse_options("features", __doc__ or "")
    seconds = options.pick(2, 5)
    peers = {peer.name: peer for peer in all_peers() if peer.name in _JOINING_PEERS}
    for peer in peers.values():
        peer.environment.ensure()
    report = BenchmarkReport("features", options.quick)
    report.print_machine()
    jobs = min(_OUR_RATE * seconds, _MOST_CALLBACKS)
    contestants: dict[str, Callable[[], Figures]] = {_PLAIN: partial(_measure, jobs, lambda _: {})}
    contestants |= {name: partial(_measure, jobs, wanted) for name, wanted in FEATURES.items()}
    contestants[_JOINS] = partial(_measure_joins, _OUR_RATE * seconds // (_WIDTH + 1))
    contestants |= {
        f"{name}, joins": partial(_measure_peers_joins, peer, _JOINING_PEERS[name] * seconds // (_WIDTH + 1))
        for name, peer in peers.items()
    }
    bullmq = peers["bullmq"]
    contestants["bullmq, rate"] = partial(measure_peer, with_limiter(bullmq), bullmq.expected_rate * seconds)
    repeated = _REPEATED_RATE * seconds
    contestants[_REPEATED] = partial(_measure_schedules, repeated)
    contestants["bullmq, schedules"] = partial(_measure_peers_schedules, bullmq, repeated)
    medians = compare(report, contestants, options.runs)
    rates = {name: figures["jobs_per_second"] for name, figures in medians.items()}
    for peer_name in peers:
        report.add_aim(f"joins run, times {peer_name}", rates[_JOINS] / rates[f"{peer_name}, joins"], least=2.0)
        queued = [medians[f"{name}, joins"]["queued_per_second"] for name in (_PLAIN, peer_name)]
        report.add_aim(f"joins queued, times {peer_name}", queued[0] / queued[1], least=2.0)
    report.add_aim("schedules, times bullmq", rates[_REPEATED] / rates["bullmq, schedules"], least=2.0)
    report.add_aim("rate limit, times bullmq", rates["workmanager, rate"] / rates["bullmq, rate"], least=2.0)
    report.print_tables()


def with_limiter(bullmq: Peer) -> Peer:
    """Return BullMQ with a worker that has a limit."""
    return replace(bullmq, worker_command=lambda url: bullmq.app_command("limited", url, 100))


def _measure(jobs: int, wanted: Callable[[int], Mapping[str, Any]]) -> Figures:
    with redis_server() as server:
        preload_jobs(server.url, jobs, "noop", wanted)
        return measure_drain_rate(server, lambda: running_worker(server, slots=1), jobs, lambda: count_finished(server))


def _measure_joins(groups: int) -> Figures:
    jobs = groups * (_WIDTH + 1)
    with redis_server() as server:
        seconds = preload_joins(server.url, groups, _WIDTH)
        worker = partial(running_worker, server, slots=1)
        drained = measure_drain_rate(server, worker, jobs, lambda: count_finished(server))
        return {**drained, "queued_per_second": jobs / seconds}


def _measure_peers_joins(peer: Peer, groups: int) -> Figures:
    jobs = groups * (_WIDTH + 1)
    with redis_server() as server:
        environ = peer.environ(server.url)
        printed = run_to_end(peer.app_command("joins", server.url, groups), environ=environ)
        log = server.directory / "worker.log"
        worker = partial(running_program, peer.worker_command(server.url), log, environ=environ)
        drained = measure_drain_rate(server, worker, jobs, lambda: peer.count_finished(server.masters[0]))
        return {**drained, "queued_per_second": jobs / float(printed)}


def _measure_schedules(runs: int) -> Figures:
    with redis_server() as server:
        work = partial(_running_schedules, server, runs)
        return measure_drain_rate(server, work, runs, lambda: count_finished(server))


@contextlib.contextmanager
def _running_schedules(server: BenchmarkRedis, runs: int) -> Iterator[MeasuredProgram]:
    with running_worker(server, slots=1) as program:
        # No run waits for the start of the worker.
        wait_for_idle_worker(server, program)
        with due_schedules(server.url, _SCHEDULES, runs):
            yield program


def _measure_peers_schedules(peer: Peer, runs: int) -> Figures:
    with redis_server() as server:
        environ = peer.environ(server.url)
        run_to_end(peer.app_command("schedules", server.url, _SCHEDULES), environ=environ)
        log = server.directory / "worker.log"
        worker = partial(running_program, peer.worker_command(server.url), log, environ=environ)
        return measure_drain_rate(server, worker, runs, lambda: peer.count_finished(server.masters[0]))


def _callback(host: str) -> str:
    return json.dumps({"url": f"https://{host}/", "host": f"{host}:443", "events": ["finished"], "include": []})


if __name__ == "__main__":
    main()
