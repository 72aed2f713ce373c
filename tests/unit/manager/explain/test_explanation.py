"""Why a job does not run: the sentence for each state, from facts."""

from dataclasses import replace
from typing import Any

import pytest

from jobqueue.job_view import JobError, JobView
from jobqueue.workers.registry import WorkerView
from manager.explain.explanation import explain, shard_unavailable
from manager.explain.facts import FullLimit, JobFacts, LaneFacts, Parent, QueueFacts, RateLimitFacts, ScalerFacts

JOB = JobView(
    id="a",
    function="shop.orders.pay",
    queue="q",
    status="queued",
    result=None,
    error=None,
    attempts=0,
    created_at="T0",
    enqueued_at="T0",
    started_at=None,
    ended_at=None,
    worker=None,
    meta={},
)


def worker(running: int = 0, problem: str = "") -> WorkerView:
    return WorkerView(
        name="w",
        hostname="h",
        pid=1,
        queues=("*",),
        state="idle",
        slots=2,
        running=running,
        finished=0,
        failed=0,
        fleet="",
        instance_id="",
        born_at=None,
        last_heartbeat=None,
        seconds_since_heartbeat=0.0,
        native=True,
        interruption="",
        problems=(problem,) if problem else (),
    )


QUEUE = QueueFacts(
    name="q",
    ahead=3,
    looked_at=10_000,
    queued=9,
    paused_at=None,
    is_suspended=False,
    unserved=None,
    workers=[worker(2), worker(3)],
    module_problem=None,
    scaler=None,
)
SCALER = ScalerFacts(
    leader="m:1",
    is_paused=False,
    reason="KEEP 2: the maximum of 2 is reached",
    instances=2,
    boot_etas=[],
    pending_launches=0,
    max_workers=4,
    budget_per_hour=None,
    allowed_workers=4,
    held_back="",
    held_back_seconds=0.0,
    probes=False,
)
BROKEN = "module 'shop.orders' cannot be parsed: invalid syntax (orders.py, line 3)"


def queued(**facts: Any) -> JobFacts:
    return JobFacts(JOB, 0.0, queue=replace(QUEUE, **facts))


def scaled(**facts: Any) -> JobFacts:
    return queued(scaler=replace(SCALER, **facts))


@pytest.mark.parametrize(
    ("facts", "reason", "sentence"),
    [
        (
            queued(paused_at="T1", is_suspended=True, unserved="x"),
            "queue_paused",
            "Queue 'q' has been paused since T1: the job waits until it is resumed "
            "(workmanager queues resume q, or POST /queues/q/resume).",
        ),
        (
            queued(is_suspended=True, unserved="x"),
            "workers_suspended",
            "All workers are suspended (rq suspend): they take no job until rq resume.",
        ),
        (queued(unserved="no worker serves it"), "queue_unserved", "No worker serves it."),
        (
            queued(module_problem=BROKEN),
            "module_broken",
            f"No worker can run function 'shop.orders.pay', so the job will fail: {BROKEN}.",
        ),
        (
            queued(workers=[worker(2, BROKEN), worker(0, BROKEN)]),
            "module_broken",
            f"No worker can run function 'shop.orders.pay', so the job will fail: {BROKEN}.",
        ),
        (
            queued(workers=[worker(2, BROKEN), worker(2)]),
            "slots_busy",
            "3 jobs stand before it in queue 'q', and all 4 slots of 2 workers are busy.",
        ),
        (
            queued(workers=[worker(2, "module 'shop' is broken"), worker(2, "module 'other' is broken")], ahead=1),
            "slots_busy",
            "1 of the jobs in queue 'q' stands before it, and all 4 slots of 2 workers are busy.",
        ),
        (
            queued(workers=[replace(worker(1), slots=1)]),
            "slots_busy",
            "3 jobs stand before it in queue 'q', and the only slot of 1 worker is busy.",
        ),
        (
            queued(ahead=None, queued=12_000),
            "slots_busy",
            "At least 10000 jobs stand before it in queue 'q', and all 4 slots of 2 workers are busy.",
        ),
        (
            queued(ahead=0, workers=[worker(1)]),
            "about_to_start",
            "It is the next of the jobs in queue 'q'; 1 of 2 slots are free, so it is about to start.",
        ),
        (
            replace(queued(ahead=0, workers=[worker(1), worker(2)]), now=200.0, enqueued_at=75.0),
            "not_taken",
            "It is the next of the jobs in queue 'q', and 1 of 4 slots are free, but it has waited for 125 s. If it"
            " goes on waiting, read the log of the worker with free slots (w), and restart it.",
        ),
        (
            replace(queued(ahead=1, workers=[worker(1)]), now=200.0, enqueued_at=75.0),
            "about_to_start",
            "1 of the jobs in queue 'q' stands before it; 1 of 2 slots are free, so it is about to start.",
        ),
        (
            queued(lane=LaneFacts([FullLimit("api", 2, 2, ["x", "y"])], 9.0)),
            "limit_reached",
            "3 jobs with the same limits stand before it, and the 2 places of limit 'api' are taken (by x, y).",
        ),
        (
            queued(ahead=0, lane=LaneFacts([FullLimit("api", 1, 9, ["x"])], None)),
            "limit_reached",
            "It is the next of the jobs with the same limits, and the 1 place of limit 'api' is taken (by x and 8"
            " more).",
        ),
        (
            queued(ahead=0, lane=LaneFacts([FullLimit("api", 0, 0, [])], None)),
            "limit_reached",
            "It is the next of the jobs with the same limits, and the 0 places of limit 'api' are taken.",
        ),
        (
            queued(ahead=0, lane=LaneFacts([], 12.2)),
            "rate_reached",
            "It is the next of the jobs with the same limits, and the rate of its limits lets none of them begin"
            " for 12 s.",
        ),
        (
            queued(ahead=1, lane=LaneFacts([], None)),
            "slots_busy",
            "1 of the jobs with the same limits stands before it, and all 4 slots of 2 workers are busy.",
        ),
        (
            queued(ahead=0, workers=[]),
            "no_worker_yet",
            "It is the next of the jobs in queue 'q', and no worker that serves the queue is running yet.",
        ),
        (
            queued(ahead=0, workers=[], silent_workers=[replace(worker(), seconds_since_heartbeat=28.0)]),
            "no_worker_yet",
            "It is the next of the jobs in queue 'q', and the worker that serves the queue has not been heard of for"
            " 28 s (w).",
        ),
        (
            queued(ahead=0, workers=[], silent_workers=[replace(worker(), seconds_since_heartbeat=21.0)] * 7),
            "no_worker_yet",
            "It is the next of the jobs in queue 'q', and the workers that serve the queue have not been heard of for"
            " 21 s (w, w, w, w, w and 2 more).",
        ),
    ],
)
def test_a_queued_job_waits_for_the_first_thing_that_is_missing(facts: JobFacts, reason: str, sentence: str) -> None:
    explanation = explain(facts)
    assert (explanation.reason, explanation.sentence) == (reason, sentence)
    assert (explanation.numbers["queue"], explanation.numbers["queued"]) == ("q", facts.queue and facts.queue.queued)


def test_a_reason_that_is_a_sentence_adds_no_second_full_stop() -> None:
    told = shard_unavailable("Error 111 connecting to h:1. Connection refused.")
    assert told.sentence.endswith("until it does: Error 111 connecting to h:1. Connection refused.")


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (scaled(leader=None), "No manager launches workers."),
        (scaled(reason=""), "The scaler has decided nothing yet."),
        (scaled(), "More workers would help, but there may be no more than 2."),
        (scaled(reason="of another version"), "The scaler's last decision: of another version."),
        (
            scaled(reason="", boot_etas=[12.3, 40.0]),
            "2 instances are booting, the first one is ready in about 12 s.",
        ),
        (scaled(reason="", boot_etas=[0.0]), "1 instance is booting, the first one takes longer than others did."),
        (
            scaled(reason="", is_paused=True, instances=4),
            "The scaler is paused; the limit of 4 workers is reached.",
        ),
        (
            scaled(reason="", held_back="no capacity", held_back_seconds=30.2),
            "Launches are held back for 30 s more (no capacity).",
        ),
        (
            scaled(reason="KEEP 2: a slot can become free within 7s", boot_etas=[0.0]),
            "1 instance is booting, the first one takes longer than others did. A worker will probably be free within"
            " 7 s: waiting for that is cheaper than another worker.",
        ),
        (
            scaled(reason="HELD BACK to 0: x; LAUNCH 1: the minimum is 2", held_back="x", held_back_seconds=42.0),
            "Launches are held back for 42 s more (x). No fewer than 2 are kept, whatever waits.",
        ),
        (
            scaled(reason="", held_back="no boots", held_back_seconds=42.0, probes=True),
            "Launches are held back (no boots): one instance at a time is tried, the next one in 42 s.",
        ),
        (
            scaled(reason="", held_back="no boots", held_back_seconds=42.0, probes=True, boot_etas=[5.0]),
            "1 instance is booting, the first one is ready in about 5 s; launches are held back (no boots): one"
            " instance at a time is tried.",
        ),
        (
            scaled(instances=2, allowed_workers=2, budget_per_hour=1.0),
            "The budget of 1 per hour allows 2 workers. More workers would help, but there may be no more than 2.",
        ),
        (
            scaled(instances=4, reason="KEEP 4: the maximum of 4 is reached"),
            "More workers would help, but there may be no more than 4.",
        ),
    ],
)
def test_it_tells_what_the_scaler_does_about_it(facts: JobFacts, sentence: str) -> None:
    explanation = explain(facts)
    assert (
        explanation.sentence
        == f"3 jobs stand before it in queue 'q', and all 4 slots of 2 workers are busy. {sentence}"
    )
    assert explanation.numbers["max_workers"] == 4


@pytest.mark.parametrize(
    ("job", "facts", "reason", "sentence"),
    [
        (
            {"status": "scheduled", "due_at": "T9"},
            {"due_at": 160.0},
            "delayed",
            "The job is not due before T9, in 60 s.",
        ),
        (
            {"status": "scheduled", "due_at": "T9", "attempts": 2, "retries_left": 1},
            {"due_at": 160.0, "started_at": 90.0},
            "retry",
            "Attempt 2 has failed: the next one is due at T9, in 60 s, with 1 retry left after it.",
        ),
        (
            {"status": "scheduled", "due_at": "T9", "attempts": 2},
            {"due_at": 160.0, "started_at": 90.0, "repeats_left": 1},
            "repeat",
            "The job has run, and runs again at T9, in 60 s; then 1 time more, as long as it succeeds.",
        ),
        (
            {"status": "scheduled", "due_at": "T9"},
            {"due_at": 80.0},
            "overdue",
            "The job has been due for 20 s: managers queue due jobs twice a second, unless a plain RQ scheduler holds"
            " the lock of the queue.",
        ),
        (
            {"status": "deferred", "depends_on": tuple("uvwxyz12")},
            {"parents": [Parent(name, "finished", "started") for name in "uvwxyz"] + [Parent("1", "ended", None)]},
            "waiting_for_parents",
            "The job waits for 7 of 8 jobs to end: u (started), v (started), w (started), x (started), y (started) and"
            " 2 more.",
        ),
        (
            {"status": "deferred", "depends_on": ("u",)},
            {"parents": [Parent("u", "finished", None)]},
            "waiting_for_parents",
            "The job waits for job u (not there) to finish.",
        ),
        (
            {"status": "deferred", "depends_on": ("u",)},
            {},
            "parents_ended",
            "The jobs that it waits for have ended: a manager queues it within some seconds.",
        ),
        (
            {"status": "started", "worker": "w", "attempts": 2, "timeout_seconds": 60},
            {"started_at": 70.0, "lease_seconds": 9.0},
            "running",
            "The job runs: worker w has had it for 30 s, and may take 60 s (attempt 2).",
        ),
        (
            {"status": "started", "worker": "w", "timeout_seconds": None},
            {"started_at": 70.0, "lease_seconds": 9.0, "is_canceled": True},
            "stopping",
            "The job was canceled, and worker w is to stop it.",
        ),
        (
            {"status": "started", "worker": "w"},
            {"lease_seconds": -1.0, "losses": 1},
            "worker_lost",
            "Worker w has been lost: the job is about to be queued again.",
        ),
        (
            {"status": "started", "worker": "w"},
            {"lease_seconds": -1.0, "losses": 2},
            "worker_lost",
            "Worker w has been lost: the job is about to fail, because that has happened to it 3 times.",
        ),
        (
            {"status": "started", "worker": "w"},
            {"lease_seconds": -1.0, "is_canceled": True},
            "worker_lost",
            "Worker w has been lost: the job is about to end, because it was canceled.",
        ),
        (
            {"status": "rate_limited"},
            {"rate_limit": RateLimitFacts("api", 2, 2, 7)},
            "rate_limited",
            "The job waits for one of 2 places of RQ's rate limit 'api': 2 are taken, and 7 jobs wait.",
        ),
        (
            {"status": "rate_limited"},
            {"rate_limit": RateLimitFacts("api", 2, 1, 1)},
            "rate_limited",
            "The job waits for one of 2 places of RQ's rate limit 'api': 1 is taken, and 1 job waits.",
        ),
        ({"status": "created"}, {}, "created", "A plain RQ client has created the job and not queued it."),
        (
            {"status": "ready_to_enqueue"},
            {},
            "rq_enqueues",
            "A plain RQ program is about to queue the job. If that has died, a manager queues it within 20 s.",
        ),
        ({"status": "finished", "ended_at": "T5"}, {}, "finished", "The job finished at T5."),
        (
            {"status": "failed", "ended_at": "T5", "attempts": 3, "error": JobError("timeout", "too long.\nmore", "t")},
            {},
            "failed",
            "The job failed at T5 after 3 attempts (timeout): too long.",
        ),
        (
            {"status": "stopped", "ended_at": "T5"},
            {},
            "stopped",
            "The job was canceled while it ran, and stopped at T5.",
        ),
        ({"status": "canceled", "ended_at": "T5"}, {}, "canceled", "The job was canceled at T5 before it ran."),
        (
            {"status": "canceled", "ended_at": "T5", "error": JobError("dependency_failed", "job u failed", "")},
            {},
            "dependency_failed",
            "The job was canceled at T5: job u failed.",
        ),
    ],
)
def test_every_other_status_has_its_sentence(
    job: dict[str, Any], facts: dict[str, Any], reason: str, sentence: str
) -> None:
    explanation = explain(JobFacts(replace(JOB, **job), 100.0, **facts))
    assert (explanation.reason, explanation.sentence) == (reason, sentence)
