"""One sentence, with its numbers, that says why a job does not run. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jobqueue.model import MAX_LOSSES, FailureReason, Status
from manager.explain.facts import FullLimit, JobFacts, QueueFacts
from manager.explain.scaler_sentence import tell_scaler
from manager.explain.wording import as_sentence
from manager.queue.problems import how_to_resume, jobs_wait
from processes.wording import counted

MAX_NAMED = 5
OVERDUE_SECONDS = 3.0
"""Managers queue due jobs twice a second."""
MAX_MESSAGE_CHARACTERS = 300
STUCK_SECONDS = 60.0
"""A free slot takes a job at once: workers that leave the next one for so long need a look."""

_READY = "A plain RQ program is about to queue the job. If that has died, a manager queues it within 20 s."


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a job does not run.

    Attributes:
        reason: a word for programs; docs/watching.md lists them.
        numbers: what the sentence is made of.
    """

    reason: str
    sentence: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


def explain(facts: JobFacts) -> Explanation:
    """Return why a job does not run; for one that runs or has ended, where or how."""
    match facts.job.status:
        case Status.QUEUED:
            return _queued(facts)
        case Status.SCHEDULED:
            return _scheduled(facts)
        case Status.DEFERRED if facts.queue is not None:
            return _queued(facts)
        case Status.DEFERRED:
            return _deferred(facts)
        case Status.STARTED:
            return _started(facts)
        case Status.RATE_LIMITED:
            return _rate_limited(facts)
        case Status.CREATED:
            return Explanation("created", "A plain RQ client has created the job and not queued it.")
        case Status.READY_TO_ENQUEUE:
            return Explanation("rq_enqueues", _READY)
    return _ended(facts)


def shard_unavailable(detail: str) -> Explanation:
    """Return the explanation for a job on a shard that does not answer."""
    sentence = f"The Redis server of the job's shard does not answer, so the job waits until it does: {detail}"
    return Explanation("shard_unavailable", as_sentence(sentence))


def _queued(facts: JobFacts) -> Explanation:
    job, queue = facts.job, facts.queue
    if queue is None:
        return Explanation("queued", "The job waits in its queue.")
    numbers: dict[str, Any] = {"queue": job.queue, "ahead": queue.ahead, "queued": queue.queued}
    if queue.paused_at is not None:
        sentence = (
            f"Queue {job.queue!r} has been paused since {queue.paused_at}: the job waits until"
            f" {how_to_resume(job.queue)}."
        )
        return Explanation("queue_paused", sentence, {**numbers, "paused_at": queue.paused_at})
    if queue.is_suspended:
        sentence = "All workers are suspended (rq suspend): they take no job until rq resume."
        return Explanation("workers_suspended", sentence, numbers)
    if queue.unserved is not None:
        return Explanation("queue_unserved", as_sentence(queue.unserved), numbers)
    broken = _module_problem(job.function or "", queue)
    if broken is not None:
        sentence = f"No worker can run function {job.function!r}, so the job will fail: {broken}"
        return Explanation("module_broken", as_sentence(sentence), numbers)
    if queue.lane is not None and queue.lane.full:
        return _limit_reached(queue, queue.lane.full[0], numbers)
    if queue.lane is not None and queue.lane.allowed_in_seconds is not None:
        seconds = max(0.0, queue.lane.allowed_in_seconds)
        sentence = f"{_place(queue)}, and the rate of its limits lets none of them begin for {seconds:.0f} s."
        return Explanation("rate_reached", sentence, {**numbers, "seconds": round(seconds, 1)})
    waited = None if facts.enqueued_at is None else facts.now - facts.enqueued_at
    return _waiting_for_a_slot(queue, numbers, waited)


def _limit_reached(queue: QueueFacts, limit: FullLimit, numbers: dict[str, Any]) -> Explanation:
    more = limit.running - len(limit.holders[:MAX_NAMED])
    named = ", ".join(limit.holders[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
    places = f"the {counted(limit.places, 'place')} of limit {limit.key!r} {'is' if limit.places == 1 else 'are'} taken"
    holders = f" (by {named})" if limit.holders else ""
    numbers |= {"limit": limit.key, "places": limit.places, "held": limit.running, "holders": list(limit.holders)}
    return Explanation("limit_reached", f"{_place(queue)}, and {places}{holders}.", numbers)


def _module_problem(function: str, queue: QueueFacts) -> str | None:
    """Return why no worker can run a function; None if one can, or that is not known."""
    if queue.module_problem is not None:
        return queue.module_problem
    modules = {function.rsplit(".", count)[0] for count in range(1, function.count(".") + 1)}
    problems = [
        next((problem for problem in worker.problems for module in modules if repr(module) in problem), None)
        for worker in queue.workers
    ]
    return problems[0] if problems and all(problems) else None


def _waiting_for_a_slot(queue: QueueFacts, numbers: dict[str, Any], waited: float | None) -> Explanation:
    slots = sum(worker.slots for worker in queue.workers)
    busy = sum(min(worker.running, worker.slots) for worker in queue.workers)
    numbers |= {"workers": len(queue.workers), "slots": slots, "busy_slots": busy}
    place = _place(queue)
    scaler_sentence, scaler_numbers = tell_scaler(queue.scaler)
    if not queue.workers:
        sentence = f"{place}, and {_no_worker(queue)}. {scaler_sentence}"
        return Explanation("no_worker_yet", sentence.strip(), numbers | scaler_numbers)
    if busy < slots and queue.ahead == 0 and queue.lane is None and waited is not None and waited > STUCK_SECONDS:
        sentence = f"{place}, and {slots - busy} of {slots} slots are free, but it has waited for {waited:.0f} s."
        sentence += (
            f" If it goes on waiting, read the log of the worker with free slots ({_free(queue)}), and restart it."
        )
        return Explanation("not_taken", sentence, {**numbers, "waited_seconds": round(waited, 1)})
    if busy < slots:
        sentence = f"{place}; {slots - busy} of {slots} slots are free, so it is about to start."
        return Explanation("about_to_start", sentence, numbers)
    workers = counted(len(queue.workers), "worker")
    taken = f"the only slot of {workers} is" if slots == 1 else f"all {slots} slots of {workers} are"
    sentence = f"{place}, and {taken} busy. {scaler_sentence}"
    return Explanation("slots_busy", sentence.strip(), numbers | scaler_numbers)


def _no_worker(queue: QueueFacts) -> str:
    if not queue.silent_workers:
        return "no worker that serves the queue is running yet"
    names = [worker.name for worker in queue.silent_workers]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    seconds = min(worker.seconds_since_heartbeat or 0.0 for worker in queue.silent_workers)
    have = "worker that serves the queue has" if len(names) == 1 else "workers that serve the queue have"
    return f"the {have} not been heard of for {seconds:.0f} s ({', '.join(names[:MAX_NAMED])}{more})"


def _free(queue: QueueFacts) -> str:
    names = [worker.name for worker in queue.workers if worker.running < worker.slots]
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" or {more} more" if more > 0 else "")


def _place(queue: QueueFacts) -> str:
    jobs, where = "jobs", f" in queue {queue.name!r}"
    if queue.lane is not None:
        jobs, where = "jobs with the same limits", ""
    match queue.ahead:
        case None if queue.queued > queue.looked_at:
            return f"At least {queue.looked_at} {jobs} stand before it{where}"
        case None:
            return f"It is about to be in queue {queue.name!r}"
        case 0:
            return f"It is the next of the {jobs}{where}"
        case 1:
            return f"1 of the {jobs}{where} stands before it"
    return f"{queue.ahead} {jobs} stand before it{where}"


def _scheduled(facts: JobFacts) -> Explanation:
    job, due_at = facts.job, facts.due_at
    if due_at is None:
        return Explanation("scheduled", "The job is scheduled; when it is due cannot be read.")
    seconds = due_at - facts.now
    numbers: dict[str, Any] = {"due_at": job.due_at, "seconds": round(seconds, 1)}
    if seconds < -OVERDUE_SECONDS:
        sentence = (
            f"The job has been due for {-seconds:.0f} s: managers queue due jobs twice a second, unless a plain RQ"
            " scheduler holds the lock of the queue."
        )
        return Explanation("overdue", sentence, numbers)
    when = f"{job.due_at}, in {max(0.0, seconds):.0f} s"
    if facts.started_at is None:
        return Explanation("delayed", f"The job is not due before {when}.", numbers)
    if facts.repeats_left is not None:
        numbers |= {"attempts": job.attempts, "repeats_left": facts.repeats_left}
        times = counted(facts.repeats_left, "time")
        sentence = f"The job has run, and runs again at {when}; then {times} more, as long as it succeeds."
        return Explanation("repeat", sentence, numbers)
    numbers |= {"attempts": job.attempts, "retries_left": job.retries_left}
    sentence = (
        f"Attempt {job.attempts} has failed: the next one is due at {when}, with"
        f" {counted(job.retries_left, 'retry', 'retries')} left after it."
    )
    return Explanation("retry", sentence, numbers)


def _deferred(facts: JobFacts) -> Explanation:
    parents = facts.parents
    numbers = {
        "parents": len(facts.job.depends_on),
        "open_parents": [{"id": each.id, "status": each.status, "when": each.awaited} for each in parents],
    }
    if not parents:
        sentence = "The jobs that it waits for have ended: a manager queues it within some seconds."
        return Explanation("parents_ended", sentence, numbers)
    named = [f"{each.id} ({each.status or 'not there'})" for each in parents[:MAX_NAMED]]
    more = f" and {len(parents) - len(named)} more" if len(parents) > len(named) else ""
    goal = "finish" if all(each.awaited == "finished" for each in parents) else "end"
    counts = Counter(each.status or "not there" for each in parents)
    total = max(len(parents), len(facts.job.depends_on))
    which = f"job {named[0]} to {goal}" if total == 1 else f"{len(parents)} of {total} jobs to {goal}: "
    sentence = f"The job waits for {which}" + ("." if total == 1 else f"{', '.join(named)}{more}.")
    return Explanation("waiting_for_parents", sentence, {**numbers, "parents_by_status": dict(counts)})


def _started(facts: JobFacts) -> Explanation:
    job = facts.job
    running = None if facts.started_at is None else max(0.0, facts.now - facts.started_at)
    numbers: dict[str, Any] = {
        "worker": job.worker,
        "started_at": job.started_at,
        "running_seconds": None if running is None else round(running, 1),
        "timeout": job.timeout_seconds,
        "attempts": job.attempts,
        "lease_seconds": None if facts.lease_seconds is None else round(facts.lease_seconds, 1),
    }
    since = "" if running is None else f" for {running:.0f} s"
    if facts.lease_seconds is not None and facts.lease_seconds <= 0:
        sentence = f"Worker {job.worker} has been lost: the job is about to {_after_a_loss(facts)}."
        return Explanation("worker_lost", sentence, {**numbers, "losses": facts.losses})
    if facts.is_canceled:
        return Explanation("stopping", f"The job was canceled, and worker {job.worker} is to stop it.", numbers)
    limit = "without a limit" if job.timeout_seconds is None else f"and may take {job.timeout_seconds} s"
    sentence = f"The job runs: worker {job.worker} has had it{since}, {limit} (attempt {job.attempts})."
    return Explanation("running", sentence, numbers)


def _after_a_loss(facts: JobFacts) -> str:
    if facts.is_canceled:
        return "end, because it was canceled"
    if facts.losses + 1 >= MAX_LOSSES:
        return f"fail, because that has happened to it {MAX_LOSSES} times"
    return "be queued again"


def _rate_limited(facts: JobFacts) -> Explanation:
    limit = facts.rate_limit
    if limit is None:
        return Explanation("rate_limited", "The job waits for a place of its rate limit.")
    numbers = {"key": limit.key, "places": limit.places, "held": limit.held, "waiting": limit.waiting}
    places = "its" if limit.places is None else str(limit.places)
    sentence = (
        f"The job waits for one of {places} places of RQ's rate limit {limit.key!r}:"
        f" {limit.held} {'is' if limit.held == 1 else 'are'} taken, and {jobs_wait(limit.waiting)}."
    )
    return Explanation("rate_limited", sentence, numbers)


def _ended(facts: JobFacts) -> Explanation:
    job = facts.job
    numbers = {"ended_at": job.ended_at, "attempts": job.attempts, "worker": job.worker}
    at = f" at {job.ended_at}" if job.ended_at else ""
    message = "" if job.error is None else job.error.message.partition("\n")[0][:MAX_MESSAGE_CHARACTERS].rstrip(".")
    match job.status:
        case Status.FINISHED:
            return Explanation("finished", f"The job finished{at}.", numbers)
        case Status.STOPPED:
            return Explanation("stopped", f"The job was canceled while it ran, and stopped{at}.", numbers)
        case Status.CANCELED if job.error is not None and job.error.reason == FailureReason.DEPENDENCY_FAILED:
            return Explanation("dependency_failed", f"The job was canceled{at}: {message}.", numbers)
        case Status.CANCELED:
            return Explanation("canceled", f"The job was canceled{at} before it ran.", numbers)
    reason = FailureReason.EXCEPTION if job.error is None else job.error.reason
    sentence = f"The job failed{at} after {counted(job.attempts, 'attempt')} ({reason}): {message}."
    return Explanation("failed", sentence, {**numbers, "error": reason})
