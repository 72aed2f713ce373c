"""What the queue should do, in plain Python: the yardstick of the property-based tests.

Times are whole seconds. Everything is in one shard; queues and the feed are lists.
"""

from dataclasses import dataclass, field

QUEUES = ("high", "default")
LEASE_SECONDS = 20
MAX_LOSSES = 3
RESULT_SECONDS = 7 * 86_400
PULLED_SECONDS = 3600
REQUEUABLE = ("failed", "stopped", "canceled")


@dataclass(slots=True)
class ModelJob:
    """A job as it should stand in the books."""

    queue: str
    retries_left: int
    interval: int | None
    status: str = "queued"
    attempts: int = 0
    losses: int = 0
    returned_retries: int = 0
    cancel_asked: bool = False
    token: str | None = None
    lease_until: int = 0
    due: int | None = None
    ends: int = 0


@dataclass(slots=True)
class QueueModel:
    """All jobs, the queues' order, and the feed's.

    Attributes:
        feed: results that wait, oldest first, by sequence number.
        leased: results out on a lease: id -> (until, sequence number).
        recorded: how many successes stand in the books.
    """

    jobs: dict[str, ModelJob] = field(default_factory=dict)
    queues: dict[str, list[str]] = field(default_factory=lambda: {queue: [] for queue in QUEUES})
    feed: dict[str, int] = field(default_factory=dict)
    leased: dict[str, tuple[int, int]] = field(default_factory=dict)
    sequence: int = 0
    success_count: int = 0

    def enqueue(self, job_id: str, job: ModelJob, *, at_front: bool) -> str:
        """'written', 'repeated' or 'conflict'."""
        stands = self.jobs.get(job_id)
        if stands is not None:
            same = (stands.queue, stands.interval) == (job.queue, job.interval)
            return "repeated" if same else "conflict"
        self.jobs[job_id] = job
        if job.due is None:
            self._push(job_id, at_front=at_front)
        else:
            job.status = "scheduled"
        return "written"

    def claim(self, count: int, token: str, now: int) -> list[str]:
        """The ids that a worker gets."""
        claimed: list[str] = []
        for queue in QUEUES:
            while self.queues[queue] and len(claimed) < count:
                lost_before = self.jobs[self.queues[queue][0]].losses > 0
                if lost_before and claimed:
                    return claimed
                job_id = self.queues[queue].pop(0)
                job = self.jobs[job_id]
                job.status, job.token, job.lease_until = "started", token, now + LEASE_SECONDS
                job.attempts += 1
                claimed.append(job_id)
                if lost_before:
                    return claimed
        return claimed

    def holds(self, job_id: str, token: str) -> bool:
        """Whether the lease is a living one."""
        job = self.jobs.get(job_id)
        return job is not None and job.status == "started" and job.token == token

    def was_finished(self, job_id: str) -> bool:
        """Whether a result that was handed out can still be read."""
        job = self.jobs.get(job_id)
        return job is not None and job.status == "finished"

    def finish(self, job_id: str, now: int) -> None:
        self._end(job_id, "finished")
        self.jobs[job_id].ends = now + RESULT_SECONDS
        self.sequence += 1
        self.feed[job_id] = self.sequence
        self.success_count += 1

    def fail(self, job_id: str, now: int) -> bool:
        """Whether it will run again."""
        job = self.jobs[job_id]
        if job.cancel_asked or not job.retries_left:
            self._end(job_id, "stopped" if job.cancel_asked else "failed")
            return False
        job.retries_left -= 1
        self._again(job_id, job.interval or 0, now)
        return True

    def return_retry(self, job_id: str, most: int, now: int) -> bool:
        """The function returned a Retry; whether it will run again."""
        job = self.jobs[job_id]
        if job.cancel_asked or job.returned_retries >= most:
            self._end(job_id, "stopped" if job.cancel_asked else "failed")
            return False
        job.returned_retries += 1
        self._again(job_id, 0, now)
        return True

    def stop(self, job_id: str) -> None:
        self._end(job_id, "stopped")

    def release(self, job_id: str) -> None:
        job = self.jobs[job_id]
        job.attempts -= 1
        job.token = None
        if job.cancel_asked:
            self._end(job_id, "canceled")
            job.cancel_asked = False
        else:
            self._push(job_id, at_front=True)

    def reap(self, now: int) -> list[tuple[str, str]]:
        lapsed = sorted((j.lease_until, id_) for id_, j in self.jobs.items() if j.token and j.lease_until <= now)
        reaped = []
        for _, job_id in lapsed:
            job = self.jobs[job_id]
            job.losses += 1
            if job.cancel_asked or job.losses >= MAX_LOSSES:
                self._end(job_id, "stopped" if job.cancel_asked else "failed")
            else:
                job.token = None
                self._push(job_id, at_front=True)
            reaped.append((job_id, job.status))
        return reaped

    def move_due(self, queue: str, now: int) -> int:
        due = sorted((j.due, id_) for id_, j in self.jobs.items() if j.due is not None and j.due <= now)
        moved = [job_id for _, job_id in due if self.jobs[job_id].queue == queue]
        for job_id in moved:
            self._push(job_id, at_front=False)
        return len(moved)

    def cancel(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "missing"
        if job.status == "started":
            job.cancel_asked = True
            return "stopping"
        if job.status not in ("queued", "scheduled"):
            return "ended"
        self._remove(job_id)
        job.status, job.due = "canceled", None
        return "canceled"

    def requeue(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "missing"
        if job.status in REQUEUABLE:
            job.losses, job.cancel_asked = 0, False
            self._push(job_id, at_front=False)
        return job.status

    def delete(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "missing"
        if job.status == "started":
            return "started"
        self._remove(job_id)
        self.feed.pop(job_id, None)
        self.leased.pop(job_id, None)
        del self.jobs[job_id]
        return "deleted"

    def pull(self, most: int, *, latest: bool, lease_seconds: int, now: int) -> list[str]:
        order = sorted(self.feed, key=lambda job_id: self.feed[job_id], reverse=latest)[:most]
        for job_id in order:
            place = self.feed.pop(job_id)
            if lease_seconds:
                self.leased[job_id] = (now + lease_seconds, place)
            else:
                self._ends_soon(job_id, now)
        return order

    def acknowledge(self, job_id: str, now: int) -> bool:
        waited = bool(self.leased.pop(job_id, None)) | bool(self.feed.pop(job_id, None))
        if waited:
            self._ends_soon(job_id, now)
        return waited

    def expire(self, now: int) -> tuple[int, int]:
        """How many results are over, and how many of them nobody had pulled."""
        over = [job_id for job_id, job in self.jobs.items() if job.status == "finished" and job.ends <= now]
        unpulled = [job_id for job_id in over if job_id in self.feed or job_id in self.leased]
        for job_id in over:
            self.delete(job_id)
        return len(over), len(unpulled)

    def prune(self, now: int) -> int:
        lapsed = [job_id for job_id, (until, _) in self.leased.items() if until <= now]
        for job_id in lapsed:
            self.feed[job_id] = self.leased.pop(job_id)[1]
        return len(lapsed)

    def _ends_soon(self, job_id: str, now: int) -> None:
        job = self.jobs[job_id]
        job.ends = min(job.ends, now + PULLED_SECONDS)

    def _push(self, job_id: str, *, at_front: bool) -> None:
        job = self.jobs[job_id]
        job.status, job.due = "queued", None
        queue = self.queues[job.queue]
        queue.insert(0 if at_front else len(queue), job_id)

    def _again(self, job_id: str, interval: int, now: int) -> None:
        job = self.jobs[job_id]
        job.token = None
        if interval:
            job.status, job.due = "scheduled", now + interval
        else:
            self._push(job_id, at_front=False)

    def _end(self, job_id: str, status: str) -> None:
        self.jobs[job_id].status, self.jobs[job_id].token = status, None

    def _remove(self, job_id: str) -> None:
        for queue in self.queues.values():
            if job_id in queue:
                queue.remove(job_id)
