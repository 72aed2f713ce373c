"""Metrics of several managers: what is known of the whole queue is told once, so that sums over managers are right."""

from collections import Counter

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until

OPEN_METRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}


def scraped(manager: ManagerProgram) -> Counter[str]:
    """Return the values by name, summed over labels."""
    answer = httpx.get(f"{manager.url}/metrics", headers=OPEN_METRICS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    values: Counter[str] = Counter()
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            values[sample.name] += sample.value
    return values


def test_one_of_two_managers_tells_of_the_queue_and_the_other_takes_over(start: Start, redis_url: str) -> None:
    managers = [start(redis_url).wait_until_ready(), start(redis_url).wait_until_ready()]
    with managers[0].client() as http:
        for _ in range(3):
            http.put("/enqueue?iterations=1", content=b"x")
    values = [scraped(manager) for manager in managers]
    tellers = [manager for manager, one in zip(managers, values, strict=True) if one["workmanager_tells_queue"]]
    assert len(tellers) == 1
    total = values[0] + values[1]
    assert total["workmanager_queue_jobs"] == 3
    assert total["workmanager_jobs_enqueued_total"] == 3
    assert all(one["workmanager_redis_up"] == 1 for one in values)
    assert all(one["workmanager_redis_round_trips_total"] > 0 for one in values)
    (other,) = (manager for manager in managers if manager not in tellers)
    tellers[0].stop()
    until(lambda: scraped(other)["workmanager_queue_jobs"] == 3, wanted="the other manager's figures")
