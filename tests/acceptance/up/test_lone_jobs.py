"""Single short jobs after pauses: each is run by the first worker that is launched for it, without a detour.

`WORKMANAGER_TEST_LONE_JOBS=200` runs so many, and checks the 99th percentile of their times (about an hour; 2 jobs
otherwise). `WORKMANAGER_TEST_LONE_JOBS_SEED` repeats the pauses of a run.
"""

import os
import random
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles

import pytest

from scaler.fleets.local import PROFILE
from tests.waiting import until
from tests.workmanager_up import WorkmanagerUp
from workmanager.client import Client

FEW_JOBS = 2
JOBS = int(os.environ.get("WORKMANAGER_TEST_LONE_JOBS", FEW_JOBS))
SEED = int(os.environ.get("WORKMANAGER_TEST_LONE_JOBS_SEED", 0)) or random.randrange(1, 2**32)
BURST_JOBS = 300
MAX_PAUSE_SECONDS = 5.0
MAX_RATIO = 2.0
"""Time from the request to the value, in starts of a worker."""


@dataclass(frozen=True)
class LoneJob:
    """A job, and times in seconds.

    Attributes:
        worker: the worker that ran it.
        launched: the workers that were launched for it.
        value_seconds: from the request to its value.
        boot_seconds: from the launch of its worker to that worker's registration.
        start_seconds: from the launch of its worker to the first job of that worker's executor, which starts meanwhile.
        lifetime_seconds: from its worker's registration until that worker was drained.
    """

    worker: str
    launched: list[str]
    value_seconds: float
    boot_seconds: float
    start_seconds: float
    lifetime_seconds: float


@pytest.fixture
def up(tmp_path: Path) -> Iterator[WorkmanagerUp]:
    run = WorkmanagerUp(tmp_path / "run")
    yield run
    run.kill_all()


def _launched(up: WorkmanagerUp) -> list[str]:
    return re.findall(r"event=worker_launched instance_id=(\S+)", up.log.read_text())


def _time_of(up: WorkmanagerUp, event: str) -> float:
    """Return when this was logged, as Unix time."""
    (line,) = [line for line in up.log.read_text().splitlines() if f"event={event} " in f"{line} "]
    return datetime.fromisoformat(line.split()[0]).timestamp()


def _run_lone_job(up: WorkmanagerUp, client: Client, pause_seconds: float) -> LoneJob:
    """Wait until no worker is left, pause, run one job, and wait until its worker has been drained.

    A scaler that has learned how often the jobs come may launch the worker within the pause.
    """
    until(lambda: client.status()["Workers"] == 0, wanted="the end of the workers")
    before = set(_launched(up))
    time.sleep(pause_seconds)
    requested_at = time.monotonic()
    job_id = client.enqueue(b"lone", iterations=1)
    (completed,) = client.pull(top=1, wait_seconds=50)
    value_seconds = time.monotonic() - requested_at
    assert completed.id == job_id
    job = client.job(job_id)
    worker = job["worker"]
    until(lambda: f"event=worker_draining worker={worker}" in up.log.read_text(), wanted="the drain")
    launched_at = _time_of(up, f"worker_launched instance_id={worker}")
    registered_at = _time_of(up, f"worker_started worker={worker}")
    return LoneJob(
        worker=worker,
        launched=[id_ for id_ in _launched(up) if id_ not in before],
        value_seconds=value_seconds,
        boot_seconds=registered_at - launched_at,
        start_seconds=datetime.fromisoformat(job["started_at"]).timestamp() - launched_at,
        lifetime_seconds=_time_of(up, f"worker_draining worker={worker}") - registered_at,
    )


def _percentile_99(values: list[float]) -> float:
    return quantiles(values, n=100, method="inclusive")[-1]


@pytest.mark.timeout(300 + 60 * JOBS)
def test_each_lone_job_is_run_by_the_first_worker_launched_for_it(up: WorkmanagerUp) -> None:
    rng = random.Random(SEED)
    up.start("--max-workers", "3" if JOBS > FEW_JOBS else "1")
    up.wait_until_ready()
    with Client(up.urls) as client:
        # The scaler learns that jobs take next to no time.
        list(client.submit_many([{"function": "noop", "feed": False}] * BURST_JOBS))
        until(lambda: client.status()["Jobs"] == 0, wanted="the end of the burst")
        jobs = [_run_lone_job(up, client, rng.uniform(0.0, MAX_PAUSE_SECONDS)) for _ in range(JOBS)]
    figures = {
        "value": [job.value_seconds for job in jobs],
        "boot": [job.boot_seconds for job in jobs],
        "value_per_boot": [job.value_seconds / job.boot_seconds for job in jobs],
        "value_per_start": [job.value_seconds / job.start_seconds for job in jobs],
    }
    texts = [f"{name}_p50={median(own):.2f} {name}_p99={_percentile_99(own):.2f}" for name, own in figures.items()]
    worst = sorted((job.value_seconds / job.start_seconds, at, job.worker) for at, job in enumerate(jobs))[-5:]
    sys.stderr.write(f"lone_jobs={len(jobs)} seed={SEED} {' '.join(texts)} worst={worst}\n")
    assert [job.launched for job in jobs] == [[job.worker] for job in jobs]
    assert min(job.lifetime_seconds for job in jobs) >= PROFILE.min_idle_seconds
    # Of a few jobs beside other tests, it would say how busy the machine is.
    if JOBS > FEW_JOBS:
        assert _percentile_99(figures["value_per_start"]) <= MAX_RATIO
    assert up.stop() == 0
