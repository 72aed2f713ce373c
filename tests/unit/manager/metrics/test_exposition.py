"""What is written for the whole queue: a parser of each format reads it, and it says what it should."""

import json
import time

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from jobqueue.inspection.counters import FunctionCounts, QueueCounts, ShardCounts
from jobqueue.lifecycle.times import HISTOGRAMS, Pair, Times
from manager.metrics.exposition import Exposition
from manager.metrics.queue import show_queue
from manager.metrics.requests import Metrics
from manager.metrics.totals import QueueTotals

STRANGE = 'a "b" \\ {c} 100 % %s'
PAIR = (STRANGE, "noop")


def one_job(seconds: float, job_id: str = "job-1") -> Times:
    times = Times()
    for histogram in range(len(HISTOGRAMS)):
        times.observe(histogram, seconds, 1, job_id, 1_800_000_000.5)
    return times


def stored(times: dict[Pair, Times]) -> dict[bytes, bytes]:
    return {json.dumps(pair).encode(): one.encode().encode() for pair, one in times.items()}


def counts() -> ShardCounts:
    functions = FunctionCounts(enqueued={STRANGE: 3}, seconds={"noop": 0.25})
    return ShardCounts(queues={STRANGE: QueueCounts(queued=2, oldest_seconds=7.5)}, functions=functions)


def whole_text(*, open_metrics: bool) -> str:
    shown, totals, metrics = Exposition(open_metrics=open_metrics), QueueTotals(), Metrics()
    metrics.observe("GET", "/", 200, 0.1)
    metrics.show(shown, metrics.counted())
    show_queue(shown, counts(), 3, [STRANGE])
    totals.update({0: counts()}, {0: stored({PAIR: one_job(0.5), ("", ""): one_job(4000)})})
    totals.show(shown, 1)
    return shown.text().decode()


@pytest.mark.parametrize("open_metrics", [False, True])
def test_a_parser_reads_it_and_each_series_comes_once(open_metrics: bool) -> None:
    parse = parse_open_metrics if open_metrics else parse_text
    found: dict[tuple[str, ...], float] = {}
    for family in parse(whole_text(open_metrics=open_metrics)):
        for sample in family.samples:
            key = (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    assert found["workmanager_queue_jobs", f"queue={STRANGE}", "status=queued"] == 2
    assert found["workmanager_queue_served", f"queue={STRANGE}"] == 0
    assert found["workmanager_queue_oldest_job_age_seconds", f"queue={STRANGE}"] == 7.5
    assert found["workmanager_jobs_enqueued_total", f"function={STRANGE}"] == 3
    assert found["workmanager_job_run_seconds_total", "function=noop"] == 0.25
    labels = ("function=noop", f"queue={STRANGE}")
    name = "workmanager_job_service_seconds"
    buckets = [found[f"{name}_bucket", labels[0], f"le={bound}", labels[1]] for bound in ("0.1", "1.0", "+Inf")]
    assert buckets == [0, 1, 1]
    assert found[f"{name}_sum", *labels] == 0.5
    assert found[f"{name}_count", *labels] == 1


def test_openmetrics_has_the_slowest_of_the_last_jobs_as_an_example() -> None:
    exemplars = [
        (sample.labels["le"], sample.exemplar.labels, sample.exemplar.value, float(sample.exemplar.timestamp))
        for family in parse_open_metrics(whole_text(open_metrics=True))
        for sample in family.samples
        if sample.exemplar and sample.labels["queue"] == STRANGE and sample.name.startswith("workmanager_job_service")
    ]
    assert exemplars == [("1.0", {"job_id": "job-1"}, 0.5, 1_800_000_000.5)]
    assert "job-1" not in whole_text(open_metrics=False)


def test_totals_do_not_fall_while_a_shard_is_away_and_are_left_out_until_each_was_read() -> None:
    totals = QueueTotals()

    def lines(*answering: int) -> set[str]:
        numbers = {index: ShardCounts(functions=FunctionCounts(finished={"noop": 10})) for index in answering}
        totals.update(numbers, {index: stored({PAIR: one_job(0.5)}) for index in answering})
        shown = Exposition()
        totals.show(shown, 2)
        return set(shown.text().decode().splitlines())

    assert lines(0) == set()
    finished = 'workmanager_jobs_finished_total{function="noop"} 20.0'
    count = 'workmanager_job_service_seconds_count{queue="a \\"b\\" \\\\ {c} 100 % %s",function="noop"} 2'
    assert {finished, count} <= lines(0, 1)
    assert {finished, count} <= lines(1)


def test_what_changes_is_written_anew_and_what_is_gone_is_not() -> None:
    totals = QueueTotals()

    def count(times: dict[Pair, Times]) -> list[str]:
        totals.update({0: ShardCounts()}, {0: stored(times)})
        shown = Exposition()
        totals.show(shown, 1)
        return [line for line in shown.text().decode().splitlines() if line.startswith("workmanager_job_service")]

    first, second = one_job(0.5), one_job(0.5) + one_job(20)
    assert 'workmanager_job_service_seconds_sum{queue="q",function="f"} 0.5' in count({("q", "f"): first})
    assert 'workmanager_job_service_seconds_sum{queue="q",function="f"} 20.5' in count({("q", "f"): second})
    assert count({}) == []


def test_a_thousand_queues_are_written_in_little_time() -> None:
    totals, queues = QueueTotals(), {f"queue-{number}": QueueCounts(queued=number) for number in range(1000)}
    times = stored({(queue, "noop"): one_job(0.5) for queue in queues})
    seconds = []
    for _ in range(5):
        began = time.process_time()
        shown = Exposition()
        show_queue(shown, ShardCounts(queues=queues), 3, ())
        totals.update({0: ShardCounts()}, {0: times})
        totals.show(shown, 1)
        assert shown.text().count(b"\n") > 40_000
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.1  # 6 ms on an idle machine; prometheus_client takes 200 ms.


@pytest.mark.parametrize(
    "spoilt", [[1], [1, 2, 3, 4], [1, "j", "1", "2"], [99, "j", 1, 2], [1, "j", 1e300, 2], {"at": 1}, 7]
)
def test_an_example_that_another_program_has_stored_is_left_out(spoilt: object) -> None:
    good = one_job(0.5).encode().encode()
    bad = json.dumps({"n": one_job(0.5).numbers, "e": [spoilt] * len(HISTOGRAMS)}).encode()
    for shards in ([bad], [good, bad], [bad, good]):
        totals, shown = QueueTotals(), Exposition(open_metrics=True)
        times = {index: {b'["q", "f"]': stored} for index, stored in enumerate(shards)}
        totals.update(dict.fromkeys(times, ShardCounts()), times)
        totals.show(shown, len(shards))
        text = shown.text().decode()
        families = {family.name: family for family in parse_open_metrics(text)}
        samples = families["workmanager_job_service_seconds"].samples
        assert [each.value for each in samples if each.name.endswith("_count")] == [len(shards)]
        assert sum(each.exemplar is not None for each in samples) == shards.count(good)


@pytest.mark.parametrize("numbers", [[1e308], [-1], [True], ["7"], [None], [2**63] * 2 + [-(2**63)] * 2 + [0] * 5])
def test_numbers_that_another_program_has_stored_do_not_spoil_the_text(numbers: list[object]) -> None:
    spoilt = {"n": (numbers * len(Times().numbers))[: len(Times().numbers)], "e": [0] * len(HISTOGRAMS)}
    totals, shown = QueueTotals(), Exposition()
    totals.update({0: ShardCounts()}, {0: {b'["q", "f"]': json.dumps(spoilt).encode()}})
    totals.show(shown, 1)
    values = {line.rpartition(b" ")[2] for line in shown.text().splitlines() if line.startswith(b"workmanager_job_s")}
    assert {float(value) for value in values} == {0.0}
