"""Property-based test: under any interleaving no job is lost, and no outcome recorded or result pulled twice.

WORKMANAGER_TEST_PROPERTIES=long tries many more interleavings, for some minutes, and other ones at each run.
"""

import asyncio
import os
from functools import partial
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from jobqueue.sharding.shards import Shards
from tests.integration.jobqueue.properties.queue_machine import QueueMachine

COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)
SHORT = settings(COMMON, max_examples=200, stateful_step_count=50, derandomize=True)
LONG = settings(COMMON, max_examples=2000, stateful_step_count=80)


def test_the_queue_behaves_like_its_model(redis_url: str) -> None:
    chosen = LONG if os.environ.get("WORKMANAGER_TEST_PROPERTIES") == "long" else SHORT
    with asyncio.Runner() as runner:
        shards = runner.run(Shards.connect(redis_url))
        try:
            machine: Any = partial(QueueMachine, runner, shards.all[0])  # hypothesis takes any factory
            run_state_machine_as_test(machine, settings=chosen)
        finally:
            runner.run(shards.close())
