"""Writes random garbage into Redis: into records, in place of keys, and into what all jobs share.

Nothing is destroyed that only Redis knows about an honest job: its record, its queue and its place in the feed.
"""

import pickle
import random
import zlib
from collections.abc import Callable, Sequence

import redis

from jobqueue import keys

PREFIX = "rq"
QUEUE = "default"
VICTIMS = 40

JOB_FIELDS = (
    *("data", "description", "origin", "status", "created_at", "enqueued_at", "started_at", "ended_at"),
    *("timeout", "ttl", "result_ttl", "failure_ttl", "worker_name", "meta", "retries_left", "retry_intervals"),
    *(
        "number_of_retries",
        "enqueue_at_front",
        "wm_feed",
        "wm_attempts",
        "wm_losses",
        "wm_cancel",
        "wm_reason",
        "wm_lease",
    ),
    *("wm_at_end", "wm_callback", "wm_callback_last", "wm_depends_on", "wm_failed_parent", "wm_fair_key", "wm_in_lane"),
    *("wm_labels", "wm_lane", "wm_limits", "wm_log_lines", "wm_progress", "wm_workflow"),
    *("wm_note", "wm_options", "rate_limit_key", "dependency_ids", "webhooks", "last_heartbeat"),
)
WORKER_FIELDS = (
    *("birth", "last_heartbeat", "queues", "state", "pid", "hostname", "wm_slots", "wm_running", "wm_jobs"),
    "wm_fleet",
    *("wm_instance_id", "wm_leaving", "successful_job_count", "failed_job_count", "total_working_time"),
)
COUNTERS = ("enqueued", "finished", "failed", "stopped", "seconds")
REPLACEABLE = (
    *(keys.counter(PREFIX, what) for what in COUNTERS),
    *(
        keys.registry(PREFIX, name, QUEUE)
        for name in ("wip", "finished", "failed", "canceled", "deferred", "scheduled")
    ),
    *(keys.feed_leases(PREFIX), keys.feed_sequence(PREFIX), keys.feed_wake(PREFIX), f"{PREFIX}:wm:feed:sweep"),
    *(keys.wake(PREFIX, QUEUE), keys.wake(PREFIX, "*"), keys.turns(PREFIX), keys.ended_rq_parents(PREFIX)),
    *(keys.heartbeats(PREFIX), keys.workers(PREFIX), keys.manager_heartbeat(PREFIX), f"{PREFIX}:wm:master"),
    *(f"{PREFIX}:wm:paused", f"{PREFIX}:rl-keys", f"{PREFIX}:scheduler-lock:{QUEUE}", f"{PREFIX}:wm:feed:places"),
    *(keys.scaler(PREFIX, what) for what in ("leader", "orders", "intents", "instances", "gone", "decisions")),
    *(keys.scaler(PREFIX, what) for what in ("report", "caution", "learned")),
    *(keys.registering(PREFIX), keys.parents_to_settle(PREFIX), keys.limits(PREFIX), keys.limit(PREFIX, "k")),
    *(keys.ring(PREFIX, QUEUE), keys.later(PREFIX, QUEUE), keys.limit_holders(PREFIX, "k")),
    *(keys.limit_blocked(PREFIX, "k"), keys.labels(PREFIX), keys.schedules(PREFIX), keys.schedule_counts(PREFIX)),
    *(keys.open_operations(PREFIX), keys.callbacks(PREFIX, "waiting"), keys.callback_hosts(PREFIX)),
)
SCALER_HASHES = ("leader", "orders", "intents", "instances")
SCALER_TEXTS = ("report", "caution", "learned")


class GarbageWriter:
    """Does one random piece of damage at a time.

    Args:
        workers: names of the workers that run, whose records are spoiled, too.
        also_leases: whether the leases of running jobs are destroyed, so that only a rescue queues them again.
    """

    def __init__(self, url: str, seed: int, workers: Callable[[], Sequence[str]], *, also_leases: bool = False) -> None:
        self.damages = 0
        self._redis = redis.Redis.from_url(url)
        self._random = random.Random(seed)
        self._workers = workers
        self._replaceable = (*REPLACEABLE, keys.leases(PREFIX)) if also_leases else REPLACEABLE

    def damage(self) -> None:
        """Do one piece of damage; Redis refuses some, because something else stands under the key."""
        kind = self._random.choice(
            (
                *(self._spoil_a_victim,) * 6,
                *(self._queue_a_victim,) * 4,
                *(self._spoil_shared_entries,) * 3,
                *(self._spoil_the_scaler,) * 2,
                self._replace_a_key_of_a_victim,
                self._replace_a_shared_key,
                self._spoil_a_worker,
                self._send_a_command,
            )
        )
        try:
            kind()
        except redis.ResponseError:
            return
        self.damages += 1

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def _victim(self) -> str:
        return f"victim-{self._random.randrange(VICTIMS)}"

    def _queue_a_victim(self) -> None:
        victim = self._victim()
        data = self._random.choice([b'["worker_node.functions.noop", null, [], {}]', self._garbage()])
        record = {"data": data, "origin": QUEUE, "status": "queued", "description": "noop", "timeout": 5}
        if self._random.random() < 0.5:
            record |= {"wm_feed": self._random.choice([b"1", b"0", self._garbage()])}
        self._redis.hset(keys.job(PREFIX, victim), mapping=record)
        if self._random.random() < 0.7:
            self._spoil_a_victim(victim)
        place = self._random.choice([self._redis.lpush, self._redis.rpush])
        place(keys.queue(PREFIX, QUEUE), victim if self._random.random() < 0.9 else self._garbage()[:100])

    def _spoil_a_victim(self, victim: str = "") -> None:
        victim = victim or self._victim()
        if self._random.random() < 0.2:
            entry = {self._random.choice(["return_value", "exc_string", "type"]): self._garbage()}
            self._redis.xadd(keys.results(PREFIX, victim), entry)
            self._redis.zadd(keys.feed(PREFIX), {victim: self._random.randrange(1000)})
        else:
            self._redis.hset(keys.job(PREFIX, victim), self._random.choice(JOB_FIELDS), self._garbage())

    def _replace_a_key_of_a_victim(self) -> None:
        victim = self._victim()
        name = self._random.choice(
            [keys.job(PREFIX, victim), keys.results(PREFIX, victim), keys.executions(PREFIX, victim)]
        )
        self._replace(name)

    def _replace_a_shared_key(self) -> None:
        self._replace(self._random.choice(self._replaceable))

    def _replace(self, key: str) -> None:
        self._redis.delete(key)
        write = self._random.choice(
            [
                lambda: self._redis.set(key, self._garbage()),
                lambda: self._redis.rpush(key, self._garbage()),
                lambda: self._redis.sadd(key, self._garbage()),
                lambda: self._redis.hset(key, self._garbage()[:50], self._garbage()),
                lambda: self._redis.xadd(key, {"x": self._garbage()}),
            ]
        )
        write()

    def _spoil_shared_entries(self) -> None:
        victim, score = self._victim(), self._random.choice([0, 1, 1e300, -5, 4e9])
        spoil = self._random.choice(
            [
                lambda: self._redis.hset(
                    keys.counter(PREFIX, self._random.choice(COUNTERS)), self._name(), self._garbage()
                ),
                lambda: self._redis.zadd(keys.leases(PREFIX), {self._garbage()[:80]: score, f"{victim}:x": score}),
                lambda: self._redis.zadd(keys.registry(PREFIX, "wip", QUEUE), {self._garbage()[:80]: score}),
                lambda: self._redis.zadd(keys.registry(PREFIX, "finished", QUEUE), {victim: score}),
                lambda: self._redis.zadd(keys.registry(PREFIX, "scheduled", QUEUE), {victim: 1}),
                lambda: self._redis.zadd(keys.feed(PREFIX), {self._garbage()[:80]: score}),
                lambda: self._redis.zadd(keys.feed_leases(PREFIX), {victim: 1}),
                lambda: self._redis.hset(f"{PREFIX}:wm:feed:places", victim, self._garbage()),
                lambda: self._redis.hset(f"{PREFIX}:wm:master", "reap_after", self._garbage()),
                lambda: self._redis.zadd(keys.turns(PREFIX), {self._garbage()[:80]: score}),
                lambda: self._redis.sadd(keys.queues(PREFIX), self._garbage()[:80], keys.queue(PREFIX, "odd \xff")),
                lambda: self._redis.hset(keys.ended_rq_parents(PREFIX), victim, self._garbage()[:80]),
                lambda: self._redis.sadd(keys.workers(PREFIX), self._garbage()[:80]),
                lambda: self._redis.zadd(keys.registering(PREFIX), {victim: score, self._garbage()[:80]: score}),
                lambda: self._redis.hset(keys.parents_to_settle(PREFIX), victim, self._garbage()[:80]),
                lambda: self._redis.hset(keys.open_parents(PREFIX, victim), self._victim(), self._garbage()[:80]),
                lambda: self._redis.hset(keys.children(PREFIX, victim), self._victim(), self._garbage()[:80]),
                lambda: self._redis.zadd(keys.ring(PREFIX, QUEUE), {self._garbage()[:80]: score, "lane": score}),
                lambda: self._redis.rpush(keys.lane(PREFIX, QUEUE, "lane"), victim, self._garbage()[:80]),
                lambda: self._redis.zadd(keys.limits(PREFIX), {"k": score, self._garbage()[:80]: score}),
                lambda: self._redis.sadd(keys.limit_blocked(PREFIX, "k"), self._garbage()[:80], f"lane {QUEUE}"),
                lambda: self._redis.hset(keys.limit(PREFIX, "k"), "concurrency", self._garbage()[:80]),
                lambda: self._redis.zadd(keys.schedules(PREFIX), {self._garbage()[:80]: score}),
                lambda: self._redis.zadd(keys.heartbeats(PREFIX), {self._garbage()[:80]: score}),
            ]
        )
        spoil()

    def _spoil_the_scaler(self) -> None:
        if self._random.random() < 0.5:
            field = self._random.choice([self._name(), "until", "epoch", "address", "min_workers", "max_workers"])
            self._redis.hset(keys.scaler(PREFIX, self._random.choice(SCALER_HASHES)), field, self._garbage())
        elif self._random.random() < 0.5:
            self._redis.set(keys.scaler(PREFIX, self._random.choice(SCALER_TEXTS)), self._garbage())
        else:
            self._redis.lpush(keys.scaler(PREFIX, "decisions"), self._garbage())

    def _spoil_a_worker(self) -> None:
        name = self._random.choice([*self._workers(), "ghost"])
        key = keys.worker(PREFIX, name)
        if self._random.random() < 0.2:
            self._replace(key)
        else:
            self._redis.hset(key, self._random.choice(WORKER_FIELDS), self._garbage())
        self._redis.sadd(keys.workers(PREFIX), keys.worker(PREFIX, "ghost"))

    def _send_a_command(self) -> None:
        name = self._random.choice([*self._workers(), "ghost"])
        if self._random.random() < 0.2:
            self._replace(keys.commands(PREFIX, name))
        else:
            self._redis.rpush(keys.commands(PREFIX, name), self._garbage())
        if self._random.random() < 0.2:
            self._replace(keys.claim(PREFIX, name))

    def _name(self) -> bytes:
        return self._random.choice([b"sha512", b"noop", b"token", b"i-1", self._garbage()[:50]])

    def _garbage(self) -> bytes:
        """Return a value that no program of ours would write."""
        depth = self._random.choice([3, 300, 970, 5000])
        return self._random.choice(
            [
                lambda: b"",
                lambda: self._random.randbytes(self._random.randrange(1, 64)),
                lambda: b"x",
                lambda: b"10m",
                lambda: b"-1",
                lambda: b"nan",
                lambda: b"1e400",
                lambda: b"9" * 30,
                lambda: b"2030-01-01T00:00:00",
                lambda: b"0001-01-01T00:00:00Z",
                lambda: b"[" * depth + b"]" * depth,
                lambda: b'{"a":' * depth + b"1" + b"}" * depth,
                lambda: b'{"count": "x", "launched_at": [], "at": null, "verb": 5}',
                lambda: b'["worker_node.functions.noop", null, ' + b"[" * depth,
                lambda: zlib.compress(b"[" * depth),
                lambda: zlib.compress(b"0" * 10_000_000),
                lambda: zlib.compress(b"cut")[:-3],
                lambda: pickle.dumps({"a": 1}),
                lambda: "ü\ud800".encode("utf-8", "surrogatepass"),
                lambda: b'"\\ud800"',
                lambda: b"y" * 100_000,
            ]
        )()
