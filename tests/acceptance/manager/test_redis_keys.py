"""A system that has run every kind of job holds the keys of docs/redis-keys.md and no others."""

import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from redis import Redis
from rq import Queue, Repeat
from rq.command import send_kill_horse_command
from rq.group import Group
from rq.rate_limit import RateLimit
from rq.webhook import Webhook

from tests.acceptance.manager.callback_receiver import Receiver, Reply
from tests.acceptance.manager.conftest import Start
from tests.redis_schema import DocumentedKey, read_schema
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

UNTOUCHED = {
    "{workmanager:layout}:mark": "one plain server without a replica has nothing to wait for",
    "<prefix>:wm:aside:<rest>": "no program has put a key of another type in place of one of ours",
    "<prefix>:wm:keys": "a manager without WORKMANAGER_API_KEYS has no API keys",
    "<prefix>:wm:mark": "one plain server without a replica has nothing to wait for",
}
"""Documented keys that this system does not touch, with the reason."""
TOUCHED = re.compile(r'"((?:rq:|workmanager:|\{workmanager:)[^"\\]*)"')


class KeyMonitor:
    """Notes every key that any command names, those inside of scripts included, by way of Redis' MONITOR."""

    def __init__(self, port: int) -> None:
        self.keys: set[str] = set()
        self._connection = socket.create_connection(("127.0.0.1", port))
        self._connection.sendall(b"MONITOR\r\n")
        self._file = self._connection.makefile("rb")
        assert self._file.readline() == b"+OK\r\n"
        threading.Thread(target=self._read, daemon=True).start()

    def close(self) -> None:
        self._connection.shutdown(socket.SHUT_RDWR)
        self._file.close()
        self._connection.close()

    def _read(self) -> None:
        try:
            for line in self._file:
                self.keys.update(TOUCHED.findall(line.decode(errors="replace")))
        except (OSError, ValueError):
            return


@pytest.fixture
def monitor(private_server: ValkeyServer) -> Iterator[KeyMonitor]:
    started = KeyMonitor(private_server.port)
    yield started
    started.close()


def test_a_system_touches_the_documented_keys_and_no_others(
    start: Start, private_server: ValkeyServer, monitor: KeyMonitor
) -> None:
    schema = read_schema()
    redis = Redis.from_url(private_server.url)
    stored: dict[str, tuple[str, frozenset[str]]] = {}
    # Nobody listens at the URL of alerts: what is to be told is kept all the same.
    alerts = {"ALERT_URL": "http://127.0.0.1:9/", "BACKUP_MARKER": "/no-backup"}
    manager = start(
        private_server.url, "--scaler", "local", MAX_WORKERS="1", CALLBACK_ALLOW="127.0.0.1", **alerts
    ).wait_until_ready()
    with manager.client() as client:
        steps = (
            _successes,
            _failures,
            _cancellations,
            _waiting_jobs,
            _dependencies,
            _limits,
            _pauses,
            _pulls,
            _schedules,
        )
        for step in (*steps, _callbacks):
            step(client)
            stored |= _contents(redis)
        _rq_jobs(client, redis)
        (worker,) = client.get("/workers").json()["workers"]
        send_kill_horse_command(redis, worker["name"])
        until(lambda: any(":wm:rq-command:" in key for key in monitor.keys), wanted="the command to be passed on")
        stored |= _contents(redis)
        _scale_in(client)
        stored |= _contents(redis)
        assert manager.stop() == 0
    stored |= _contents(redis)

    assert _undocumented(schema, monitor.keys | stored.keys()) == set()
    for key, (type_, fields) in stored.items():
        documented = _row(schema, key)
        assert documented is not None
        assert type_ == documented.type, key
        if documented.fields:
            assert fields <= documented.fields, key
    touched = {row.pattern for key in monitor.keys if (row := _row(schema, key)) is not None}
    assert set(schema) - touched == set(UNTOUCHED)


def _successes(client: httpx.Client) -> None:
    client.put("/enqueue?iterations=1", content=b"a").raise_for_status()
    operation = client.post("/operations", json={"action": "requeue", "filter": {"queue": "none"}}).json()
    until(lambda: client.get(f"/operations/{operation['id']}").json()["ended_at"])
    _submit(client, function="noop", unique={"key": "k", "within": 60})
    _submit(client, id="short", function="noop", meta={"a": 1}, labels={"order": "42"})
    # Over a second: RQ's execution record is kept.
    _submit(client, id="long", function="sleep", kwargs={"seconds": 2.5}, feed=False)
    client.get("/events?wait=0").raise_for_status()
    for job_id in ("short", "long"):
        assert _ended(client, job_id)["status"] == "finished"
    assert client.delete("/jobs/long").is_success


def _failures(client: httpx.Client) -> None:
    _submit(client, id="failing", function="sha512", kwargs={"iterations": 1}, retry={"max": 1, "intervals": [0]})
    assert _ended(client, "failing")["status"] == "failed"
    assert client.post("/jobs/failing/requeue").is_success
    assert _ended(client, "failing")["status"] == "failed"


def _cancellations(client: httpx.Client) -> None:
    _submit(client, id="stopped", function="sleep", kwargs={"seconds": 600})
    until(lambda: client.get("/jobs/stopped").json()["status"] == "started")
    assert client.post("/jobs/stopped/cancel").is_success
    assert _ended(client, "stopped")["status"] == "stopped"
    _submit(client, id="canceled", function="noop", delay=3600)
    assert client.post("/jobs/canceled/cancel").is_success


def _waiting_jobs(client: httpx.Client) -> None:
    _submit(client, id="due", function="noop", delay=1)
    _submit(client, id="later", function="noop", delay=3600, order="lifo")
    assert _ended(client, "due")["status"] == "finished"


def _dependencies(client: httpx.Client) -> None:
    parent = {"function": "sleep", "kwargs": {"seconds": 600}}
    jobs = {"parent": parent, "child": {"function": "noop", "depends_on": ["parent"]}}
    workflow = client.post("/workflows", json={"jobs": jobs, "finally": {"function": "noop"}}).raise_for_status().json()
    assert client.post(f"/workflows/{workflow['id']}/cancel").is_success
    assert _ended(client, workflow["jobs"]["finally"])["status"] == "finished"


def _limits(client: httpx.Client) -> None:
    rate, place = {"key": "rate", "rate": "1/s"}, {"key": "place", "concurrency": 1}
    assert client.put("/limits/place", json={"concurrency": 1, "rate": "100/s", "burst": 5}).is_success
    for number in range(2):
        _submit(client, id=f"rated-{number}", function="noop", limits=[rate], fair_key="me")
        _submit(client, id=f"placed-{number}", function="sleep", kwargs={"seconds": 0.5}, limits=[place])
    for job_id in ("rated-1", "placed-1"):
        assert _ended(client, job_id)["status"] == "finished"


def _pauses(client: httpx.Client) -> None:
    assert client.post("/queues/default/pause").is_success
    _submit(client, id="paused", function="noop")
    assert client.post("/queues/default/resume").is_success
    assert _ended(client, "paused")["status"] == "finished"


def _pulls(client: httpx.Client) -> None:
    (leased,) = client.post("/pullCompleted?top=1&lease=60").json()
    assert client.post("/ackCompleted", json={"ids": [leased["Work ID"]]}).is_success
    assert client.post("/pullCompleted?top=100").json()
    assert client.post("/pullCompleted?top=1&wait=1").json() == []
    assert client.get("/status").is_success


def _schedules(client: httpx.Client) -> None:
    schedule = {"every": 1, "overlap": "queue", "max_runs": 2, "job": {"function": "sleep", "kwargs": {"seconds": 1.5}}}
    assert client.put("/schedules/often", json=schedule).status_code == 201
    until(lambda: client.get("/schedules/often").json()["runs"] == 2)
    assert client.post("/schedules/often/pause").is_success


def _callbacks(client: httpx.Client) -> None:
    with Receiver(lambda _: Reply(503)) as receiver:
        callback = {"url": receiver.url, "include": ["result"]}
        _submit(client, id="told", function="noop", callback=callback)
        receiver.wait()
        receiver.answer = lambda received: Reply(410 if received.event["data"]["status"] == "failed" else 204)
        _submit(client, id="told-at-once", function="noop", callback=callback)
        _submit(client, id="not-taken", function="sha512", kwargs={"iterations": 1}, callback=callback)
        receiver.wait(4)


def _rq_jobs(client: httpx.Client, redis: Redis) -> None:
    """What RQ's own clients and workers write."""
    queue = Queue(connection=redis, serializer="json")
    parent = queue.enqueue("worker_node.functions.sleep", kwargs={"seconds": 1})
    child = queue.enqueue("worker_node.functions.noop", depends_on=parent, repeat=Repeat(1))
    (member,) = Group(redis, "group").enqueue_many(queue, [Queue.prepare_data("worker_node.functions.noop")])
    limited = [queue.enqueue("worker_node.functions.noop", rate_limit=RateLimit("k", 1)) for _ in range(2)]
    for job in (child, member, *limited):
        until(lambda: job.get_status() == "finished")  # noqa: B023 - it is called at once
    with Receiver() as receiver:
        webhooks = [Webhook(receiver.url, "finished"), Webhook(receiver.url, "failed", method="POST")]
        queue.enqueue("worker_node.functions.noop", webhooks=webhooks)
        queue.enqueue("worker_node.functions.noop", "an argument too many", webhooks=webhooks)
        receiver.wait(2)
    # An RQ worker that ended between taking a job and beginning it: `rq suspend` keeps ours from taking it first.
    redis.set("rq:suspended", "1")
    queue.enqueue("worker_node.functions.noop", job_id="stuck")
    redis.lmove("rq:queue:default", "rq:queue:default:intermediate")
    until(lambda: redis.exists("rq:queue:default:intermediate:first_seen:stuck"), 120)
    redis.delete("rq:suspended")


def _scale_in(client: httpx.Client) -> None:
    assert client.put("/scaler/limits", json={"max_workers": 0}).is_success
    until(lambda: client.get("/scaler").json()["instances"] == [], 120, wanted="no instances")


def _submit(client: httpx.Client, **job: Any) -> None:
    answer = client.post("/jobs", json=job)
    assert answer.status_code == 201, answer.text


def _ended(client: httpx.Client, job_id: str) -> dict[str, Any]:
    def view() -> dict[str, Any] | None:
        shown: dict[str, Any] = client.get(f"/jobs/{job_id}?wait=30").json()
        return shown if shown["status"] in ("finished", "failed", "stopped", "canceled") else None

    return until(view)


def _contents(redis: Redis) -> dict[str, tuple[str, frozenset[str]]]:
    """Type, and a hash's fields, of every key that there is."""
    names = {"zset": "sorted set"}
    contents = {}
    for raw in redis.scan_iter(count=1000):
        type_ = redis.type(raw).decode()
        fields = frozenset(name.decode() for name in redis.hkeys(raw)) if type_ == "hash" else frozenset()
        if type_ != "none":
            contents[raw.decode()] = (names.get(type_, type_), fields)
    return contents


def _row(schema: dict[str, DocumentedKey], key: str) -> DocumentedKey | None:
    """The row of a key; one without placeholders wins, as `rq:wm:feed:leases` does over a name that looks alike."""
    rows = [row for row in schema.values() if row.expression.fullmatch(key)]
    return min(rows, key=lambda row: row.pattern.count("<"), default=None)


def _undocumented(schema: dict[str, DocumentedKey], found: set[str]) -> set[str]:
    # A script gets the prefix alone; RQ's channel is no key.
    channels = re.compile(r"rq:pubsub:.*|rq:(wm:)?[a-z:]*:?")
    return {key for key in found if _row(schema, key) is None and not channels.fullmatch(key)}
