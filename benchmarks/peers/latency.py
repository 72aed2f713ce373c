"""Times one job after the other, as `benchmarks/latency.py` times ours, and prints the seconds as a JSON list."""

import json
import random
import sys
import time
from collections.abc import Callable


def print_latencies(run_one_job: Callable[[], object], jobs: int) -> None:
    """Time so many calls, each of which submits a job and waits for its result, 5 to 50 ms apart."""
    latencies = []
    for _ in range(jobs):
        time.sleep(random.uniform(0.005, 0.050))
        started_at = time.perf_counter()
        run_one_job()
        latencies.append(time.perf_counter() - started_at)
    json.dump(latencies, sys.stdout)
