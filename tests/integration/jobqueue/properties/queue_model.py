"""A model of the queue in plain Python, which the property-based test compares with the queue in Redis.

Times are whole seconds. There is one shard.
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
    """The expected state of a job.

    Attributes:
        interval: seconds before a retry; None and 0: at once.
        losses: leases that expired.
        returned_retries: how often the function returned `rq.Retry`.
        token: of its lease, if it is leased.
        due: time at which it is queued, if it is scheduled.
        delay: the delay that was asked for.
        options: what a repeated submission must name, too.
        expires: time at which its result expires.
    """

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
    delay: int | None = None
    expires: int = 0
    options: tuple[object, ...] = ()


@dataclass(slots=True)
class QueueModel:
    """The expected state of the whole queue.

    Attributes:
        feed: results ready to pull: id -> sequence number.
        pulled: results that were pulled on a lease: id -> (end of the lease, sequence number).
        success_count: the counter of successes.
    """

    jobs: dict[str, ModelJob] = field(default_factory=dict)
    queues: dict[str, list[str]] = field(default_factory=lambda: {queue: [] for queue in QUEUES})
    feed: dict[str, int] = field(default_factory=dict)
    pulled: dict[str, tuple[int, int]] = field(default_factory=dict)
    sequence: int = 0
    success_count: int = 0

    def enqueue(self, job_id: str, job: ModelJob, *, at_front: bool) -> str:
        """Return 'written', 'repeated' or 'conflict'."""
        existing = self.jobs.get(job_id)
        if existing is not None:
            return "repeated" if existing.options == (job.interval, at_front, job.delay, job.queue) else "conflict"
        job.options = (job.interval, at_front, job.delay, job.queue)
        self.jobs[job_id] = job
        if job.due is None:
            self._push(job_id, at_front=at_front)
        else:
            job.status = "scheduled"
        return "written"

    def claim(self, count: int, token: str, now: int) -> list[str]:
        """Return the ids that a worker gets."""
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
        """Return whether the lease is still valid."""
        job = self.jobs.get(job_id)
        return job is not None and job.status == "started" and job.token == token

    def was_finished(self, job_id: str) -> bool:
        """Return whether the job's result can still be read."""
        job = self.jobs.get(job_id)
        return job is not None and job.status == "finished"

    def finish(self, job_id: str, now: int) -> None:
        self._end(job_id, "finished")
        self.jobs[job_id].expires = now + RESULT_SECONDS
        self.sequence += 1
        self.feed[job_id] = self.sequence
        self.success_count += 1

    def fail(self, job_id: str, now: int) -> bool:
        """Return whether the job will run again."""
        job = self.jobs[job_id]
        if job.cancel_asked or not job.retries_left:
            self._end(job_id, "stopped" if job.cancel_asked else "failed")
            return False
        job.retries_left -= 1
        self._retry(job_id, job.interval or 0, now)
        return True

    def return_retry(self, job_id: str, max_retries: int, now: int) -> bool:
        """End a run that returned `rq.Retry`; return whether the job will run again."""
        job = self.jobs[job_id]
        if job.cancel_asked or job.returned_retries >= max_retries:
            self._end(job_id, "stopped" if job.cancel_asked else "failed")
            return False
        job.returned_retries += 1
        self._retry(job_id, 0, now)
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
        expired = sorted((j.lease_until, id_) for id_, j in self.jobs.items() if j.token and j.lease_until <= now)
        reaped = []
        for _, job_id in expired:
            job = self.jobs[job_id]
            job.losses += 1
            if job.cancel_asked or job.losses >= MAX_LOSSES:
                self._end(job_id, "stopped" if job.cancel_asked else "failed")
            else:
                job.token = None
                self._push(job_id, at_front=True)
            reaped.append((job_id, job.status))
        return reaped

    def enqueue_due(self, queue: str, now: int) -> int:
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
        self.pulled.pop(job_id, None)
        del self.jobs[job_id]
        return "deleted"

    def pull(self, limit: int, *, latest: bool, lease_seconds: int, now: int) -> list[str]:
        ids = sorted(self.feed, key=lambda job_id: self.feed[job_id], reverse=latest)[:limit]
        for job_id in ids:
            sequence = self.feed.pop(job_id)
            if lease_seconds:
                self.pulled[job_id] = (now + lease_seconds, sequence)
            else:
                self._expire_soon(job_id, now)
        return ids

    def acknowledge(self, job_id: str, now: int) -> bool:
        acknowledged = bool(self.pulled.pop(job_id, None)) | bool(self.feed.pop(job_id, None))
        if acknowledged:
            self._expire_soon(job_id, now)
        return acknowledged

    def expire_results(self, now: int) -> tuple[int, int]:
        """Return how many results have expired, and how many of them had not been pulled."""
        expired = [job_id for job_id, job in self.jobs.items() if job.status == "finished" and job.expires <= now]
        unpulled = [job_id for job_id in expired if job_id in self.feed or job_id in self.pulled]
        for job_id in expired:
            self.delete(job_id)
        return len(expired), len(unpulled)

    def prune(self, now: int) -> int:
        expired = [job_id for job_id, (lease_end, _) in self.pulled.items() if lease_end <= now]
        for job_id in expired:
            self.feed[job_id] = self.pulled.pop(job_id)[1]
        return len(expired)

    def _expire_soon(self, job_id: str, now: int) -> None:
        job = self.jobs[job_id]
        job.expires = min(job.expires, now + PULLED_SECONDS)

    def _push(self, job_id: str, *, at_front: bool) -> None:
        job = self.jobs[job_id]
        job.status, job.due = "queued", None
        queue = self.queues[job.queue]
        queue.insert(0 if at_front else len(queue), job_id)

    def _retry(self, job_id: str, interval: int, now: int) -> None:
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
