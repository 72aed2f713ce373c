"""Requests that try to reach a job, or a queue, of another tenant: by paths, queries, bodies, headers and methods."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

STATES = ("queued", "scheduled", "started", "finished", "failed", "canceled")
OWN_QUEUE, OWN_JOB = "tenant-a", "a-own"


@dataclass(frozen=True)
class Target:
    """What is to be reached.

    Attributes:
        prefix: of the ids of its jobs, one for each state, and of a unique key that another one holds.
        queue: theirs.
        cursor: of a list of them, as somebody got it who sees them.
        key_id: of a key.
    """

    prefix: str
    queue: str
    cursor: str
    key_id: str

    def job(self, state: str) -> str:
        """Return the id of the job in that state."""
        return f"{self.prefix}-{state}"

    @property
    def workflow(self) -> str:
        """The id of its workflow."""
        return f"{self.prefix}-flow"

    @property
    def schedule(self) -> str:
        """The name of its schedule."""
        return f"{self.prefix}-plan"

    @property
    def operation(self) -> str:
        """The id of an operation on its jobs."""
        return f"{self.prefix}-operation"

    @property
    def callback(self) -> str:
        """The id of a callback that was given up."""
        return f"{self.prefix}-failed_1_failed"

    @property
    def label(self) -> str:
        """A label of one of its jobs."""
        return f"owner:{self.prefix}"


@dataclass(frozen=True)
class TenantRequest:
    """A request. The path is sent as it stands."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def requests(target: Target) -> Iterator[TenantRequest]:
    """Yield all requests; for another target the same ones in the same order."""
    for part in (
        _by_id,
        _by_path,
        _in_lists,
        _in_bodies,
        _of_results,
        _of_queues,
        _of_the_system,
        _of_the_dashboard,
        _by_headers,
        _of_workflows_and_schedules,
        _of_callbacks,
        _of_many_jobs,
        _of_later_features,
    ):
        yield from part(target)


def percent_encoded(text: str) -> str:
    """Return the text with each byte percent-encoded."""
    return "".join(f"%{byte:02x}" for byte in text.encode())


def full_width(text: str) -> str:
    """Return the text in characters that Unicode calls compatible with those of ASCII."""
    return "".join(chr(ord(each) + 0xFEE0) for each in text)


def _by_id(target: Target) -> Iterator[TenantRequest]:
    for state in STATES:
        path = f"/jobs/{target.job(state)}"
        for method in ("GET", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH", "POST"):
            yield TenantRequest(method, path)
        yield TenantRequest("GET", f"{path}?wait=1")
        for verb in ("cancel", "requeue"):
            yield TenantRequest("POST", f"{path}/{verb}")
        for view in ("events", "logs", "explain", "result"):
            yield TenantRequest("GET", f"{path}/{view}")


def _by_path(target: Target) -> Iterator[TenantRequest]:
    job = target.job("queued")
    encoded, wide = percent_encoded(job), quote(full_width(job))
    for path in (
        *(f"/jobs/{encoded}", f"/jobs/{encoded.replace('%', '%25')}", f"/jobs/{job.replace('-', '%2D')}"),
        *(f"/jobs/{job.upper()}", f"/jobs/{job.title()}", f"/jobs/{wide}", f"/jobs/%C2%A0{job}", f"/jobs/{job}%20"),
        *(f"/JOBS/{job}", f"/jobs/{job}/", f"//jobs/{job}", f"/jobs//{job}", f"/jobs/./{job}", f"/./jobs/{job}"),
        *(f"/jobs/{OWN_JOB}/../{job}", f"/jobs/{OWN_JOB}%2f..%2f{job}", f"/jobs/..%2fjobs%2f{job}", f"/jobs%2f{job}"),
        *(f"/queues/../jobs/{job}", f"/queues/{OWN_QUEUE}/../../jobs/{job}", f"/docs/../jobs/{job}"),
        *(f"/jobs/{job}%00", f"/jobs/{job}%0a", f"/jobs/{job};a=b", f"/jobs/{job}%23", f"/jobs/{job}%3Fwait=1"),
        *(f"/jobs/{job[:-1]}", f"/jobs/{job[:-1]}*", f"/jobs/{job[:-1]}%3F", f"/jobs/{job},{OWN_JOB}"),
        *(f"/jobs/rq:job:{job}", f"/jobs/job:{job}", f"/jobs/{job}:dependents", f"/jobs/%7Brq%7D:job:{job}"),
        *(f"/jobs/{job}?id={OWN_JOB}", f"/jobs/{OWN_JOB}?id={job}", f"/jobs/{OWN_JOB}?job_id={job}"),
        *(f"http://127.0.0.1/jobs/{job}", f"HTTP://127.0.0.1:80/jobs/{job}?wait=1", f"/jobs?id={job}"),
    ):
        yield TenantRequest("GET", path)
    for path in (
        *(
            f"/jobs/{encoded}/cancel",
            f"/jobs/{job}/cancel/",
            f"/jobs/{job}%2fcancel",
            f"/jobs/{OWN_JOB}/../{job}/cancel",
        ),
        *(f"/jobs/{OWN_JOB}/cancel?id={job}", f"/jobs/{job.upper()}/cancel", f"/jobs/{job}/cancel?force=1"),
        *(f"http://127.0.0.1/jobs/{job}/cancel", f"/jobs/{encoded}/requeue", f"/jobs/{job}//requeue"),
    ):
        yield TenantRequest("POST", path)
    yield TenantRequest("DELETE", f"/jobs/{encoded}")
    yield TenantRequest("DELETE", f"http://127.0.0.1/jobs/{job}")
    yield TenantRequest("DELETE", f"/jobs?id={job}")


def _in_lists(target: Target) -> Iterator[TenantRequest]:
    queue, cursor = target.queue, target.cursor
    for state in (*STATES, "deferred", "stopped", "created"):
        yield TenantRequest("GET", f"/jobs?status={state}")
        yield TenantRequest("GET", f"/jobs?status={state}&queue={queue}")
    for query in (
        *(f"queue={queue}", f"queue={quote(queue[0])}{queue[1:]}", f"queue={percent_encoded(queue[0])}{queue[1:]}"),
        *(f"queue={queue.upper()}", f"queue={queue}%20", f"queue={queue}*", f"queue={queue[:6]}*", "queue=*", "queue="),
        *(f"queue={OWN_QUEUE}&queue={queue}", f"queue={queue}&queue={OWN_QUEUE}", f"queue={OWN_QUEUE},{queue}"),
        *(
            f"queue[]={queue}",
            f"Queue={queue}",
            f"queue={OWN_QUEUE};queue={queue}",
            f"queue={OWN_QUEUE}%26queue={queue}",
        ),
        *(f"cursor={cursor}", f"cursor={cursor}&queue={queue}", f"cursor={cursor}&queue={OWN_QUEUE}"),
        *(f"cursor={cursor}&status=queued", f"queue={queue}&limit=1000", f"queue={queue}&limit=1", "limit=1000"),
        *(f"label=order:{queue}", f"ids={target.job('queued')}", f"search={target.job('queued')}"),
    ):
        yield TenantRequest("GET", f"/jobs?{query}")
    yield TenantRequest("HEAD", f"/jobs?queue={queue}")


def _in_bodies(target: Target) -> Iterator[TenantRequest]:
    queue = target.queue
    own, other = f'"queue":"{OWN_QUEUE}"', f'"queue":"{queue}"'
    escaped = "".join(f"\\u{ord(each):04x}" for each in queue)
    texts = [
        *(f'{{"function":"noop",{fields}}}' for fields in (other, f"{own},{other}", f"{other},{own}")),
        *(f'{{"function":"noop",{fields}}}' for fields in (f'"Queue":"{queue}"', f'{own},"queue ":"{queue}"')),
        *(f'{{"function":"noop","queue":{value}}}' for value in (f'"{escaped}"', f'["{queue}"]', f'"{queue} "')),
        *(f'{{"function":"noop","queue":{value}}}' for value in (f'"{queue}\\u0000"', f'"{queue.upper()}"', '"*"')),
        *(f'{{"function":"noop",{each}}}' for each in (f'"qu\\u0065ue":"{queue}"', f'{own},"qu\\u0065ue":"{queue}"')),
        f'{{"function":"noop",{own},"depends_on":["{target.job("finished")}"]}}',
        f'{{"function":"noop",{own},"callback":{{"url":"http://{queue}/"}}}}',
        f'{{"function":"noop",{own},"origin":"{queue}"}}',
        f'[{{"function":"noop",{other}}}]',
        f'{{"function":"noop",{other},"delay":60}}',
        f'{{"function":"noop",{other},"order":"lifo"}}',
        f'{{"function":"noop",{other},"id":"{target.prefix}-new"}}',
        f'{{"function":"noop",{other},"id":"{target.job("queued")}"}}',
        f'{{"function":"noop",{other},"unique":{{"key":"{target.prefix}-unique","within":60}}}}',
    ]
    as_json, as_lines = {"Content-Type": "application/json"}, {"Content-Type": "application/x-ndjson"}
    for text in texts:
        yield TenantRequest("POST", "/jobs", text.encode(), as_json)
        yield TenantRequest("POST", "/jobs/batch", text.encode(), as_lines)
    yield TenantRequest("POST", "/jobs/batch", "\n".join(texts).encode(), as_lines)
    yield TenantRequest("POST", "/jobs/batch", texts[0].replace(",", ",\r").encode(), as_lines)
    yield TenantRequest("POST", "/jobs", b"\xef\xbb\xbf" + texts[0].encode(), as_json)
    yield TenantRequest("POST", "/jobs", gzip.compress(texts[0].encode()), {**as_json, "Content-Encoding": "gzip"})
    yield TenantRequest("POST", f"/jobs?queue={queue}", b'{"function":"noop"}', as_json)
    yield TenantRequest("POST", "/jobs", f"function=noop&queue={queue}".encode())
    for query in ("", f"&queue={queue}", f"&id={target.job('queued')}", f"&id={target.job('finished')}"):
        yield TenantRequest("PUT", f"/enqueue?iterations=1{query}", b"x")


def _of_results(target: Target) -> Iterator[TenantRequest]:
    job = target.job("finished")
    for query in ("", "&order=oldest", "&lease=60", "&wait=1", f"&id={job}", f"&queue={target.queue}"):
        yield TenantRequest("POST", f"/pullCompleted?top=100{query}")
    yield TenantRequest("GET", "/pullCompleted?top=1")
    ids = json.dumps({"ids": [job]}).encode()
    for path in ("/ackCompleted", "/pullCompleted?top=1", "/ackCompleted/", f"/ackCompleted?id={job}"):
        yield TenantRequest("POST", path, ids, {"Content-Type": "application/json"})


def _of_queues(target: Target) -> Iterator[TenantRequest]:
    queue = target.queue
    encoded = percent_encoded(queue)
    for name in (
        *(queue, encoded, queue.upper(), f"{queue}%00", f"{queue}%20", f"{queue}/", f"/{queue}", f"./{queue}"),
        *(f"{OWN_QUEUE}/../{queue}", f"{OWN_QUEUE}%2f..%2f{queue}", f"{OWN_QUEUE},{queue}", "*", f"{queue[:6]}*"),
    ):
        for verb in ("requeue-failed", "pause", "resume"):
            yield TenantRequest("POST", f"/queues/{name}/{verb}")
    for path in (f"/queues/{queue}", f"/queues?name={queue}", f"/queues/{queue}/requeue-failed", "/queues"):
        yield TenantRequest("GET", path)
    yield TenantRequest("POST", f"/queues/{OWN_QUEUE}/requeue-failed?queue={queue}")
    yield TenantRequest("DELETE", f"/queues/{queue}")
    yield TenantRequest("HEAD", "/queues")


def _of_the_system(target: Target) -> Iterator[TenantRequest]:
    as_json = {"Content-Type": "application/json"}
    for path in (
        *(
            "/status",
            "/metrics",
            "/workers",
            "/scaler",
            "/keys",
            "/audit",
            "/audit?limit=1",
            "/openapi.json",
            "/events?wait=0",
            f"/events?wait=0&queue={target.queue}",
        ),
        *(f"/metrics?queue={target.queue}", f"/status?queue={target.queue}", "/schedules", "/limits", "/operations"),
        *(f"/keys/{target.key_id}", f"/keys/{target.key_id}/limits", "/callbacks", "/"),
    ):
        yield TenantRequest("GET", path)
    yield TenantRequest("POST", f"/keys/{target.key_id}/roll", b"{}", as_json)
    yield TenantRequest("PUT", f"/keys/{target.key_id}/limits", b"{}", as_json)
    yield TenantRequest("DELETE", f"/keys/{target.key_id}")
    body = {"scopes": ["jobs:read"], "queues": [target.queue]}
    yield TenantRequest("POST", "/keys", json.dumps(body).encode(), as_json)
    for path in ("/scaler/pause", "/scaler/resume", "/operations", "/workflows"):
        yield TenantRequest("POST", path)
    yield TenantRequest("PUT", "/scaler/limits", b'{"max_workers":0}', as_json)
    yield TenantRequest("OPTIONS", "*")


def _of_the_dashboard(target: Target) -> Iterator[TenantRequest]:
    queue, form = target.queue, {"Content-Type": "application/x-www-form-urlencoded"}
    for page in ("overview", "queues", "changes", "workers", "scaler"):
        yield TenantRequest("HEAD", f"/dashboard/events?page={page}")
    for headers in ({}, {"Accept": "text/html"}):
        for state in STATES:
            path = f"/dashboard/jobs/{target.job(state)}"
            yield TenantRequest("GET", path, headers=headers)
            yield TenantRequest("GET", f"/dashboard/jobs?status={state}", headers=headers)
            yield TenantRequest("GET", f"/dashboard/jobs?status={state}&queue={queue}", headers=headers)
            for verb in ("cancel", "requeue", "delete"):
                yield TenantRequest("POST", f"{path}/{verb}", b"", {**headers, **form})
        for path in ("/", "/dashboard/queues", f"/dashboard/jobs?id={target.job('queued')}", "/dashboard/failures"):
            yield TenantRequest("GET", path, headers=headers)
        for path in ("/dashboard/schedules", "/dashboard/callbacks", f"/dashboard/workflows?id={target.job('queued')}"):
            yield TenantRequest("GET", path, headers=headers)
        for path in ("/dashboard/workers", "/dashboard/scaler", "/dashboard/keys", "/dashboard/audit"):
            yield TenantRequest("GET", path, headers=headers)
        for verb in ("pause", "resume", "requeue-failed"):
            yield TenantRequest("POST", f"/dashboard/queues/{queue}/{verb}", b"", {**headers, **form})


def _by_headers(target: Target) -> Iterator[TenantRequest]:
    job, queue = target.job("queued"), target.queue
    for headers in (
        *({"X-HTTP-Method-Override": "DELETE"}, {"X-Original-URL": f"/jobs/{job}"}, {"X-Rewrite-URL": f"/jobs/{job}"}),
        *({"X-Queue": queue}, {"Queue": queue}, {"X-Forwarded-Prefix": "/jobs"}, {"Range": "bytes=0-1"}),
        *({"If-None-Match": "*"}, {"Accept": "text/html"}, {"Cookie": f"queue={queue}"}, {"X-Request-Id": job}),
        *({"Forwarded": "for=127.0.0.1"}, {"X-Forwarded-For": "127.0.0.1"}, {"Expect": "100-continue"}),
    ):
        yield TenantRequest("GET", f"/jobs/{job}", headers=headers)
        yield TenantRequest("GET", f"/jobs/{OWN_JOB}", headers=headers)


AS_JSON = {"Content-Type": "application/json"}
AS_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def _of_workflows_and_schedules(target: Target) -> Iterator[TenantRequest]:
    for kind, name, verbs in (
        ("workflows", target.workflow, ("cancel", "retry")),
        ("schedules", target.schedule, ("pause", "resume", "trigger")),
    ):
        for form in (name, percent_encoded(name), name.upper(), quote(full_width(name)), f"{name}%20", f"./{name}"):
            yield TenantRequest("GET", f"/{kind}/{form}")
            for verb in verbs:
                yield TenantRequest("POST", f"/{kind}/{form}/{verb}")
        for method in ("HEAD", "DELETE", "PATCH"):
            yield TenantRequest(method, f"/{kind}/{name}")
        for headers in ({}, {"Accept": "text/html"}):
            yield TenantRequest("GET", f"/dashboard/{kind}/{name}", headers=headers)
            for verb in (*verbs, "delete"):
                yield TenantRequest("POST", f"/dashboard/{kind}/{name}/{verb}", b"", {**headers, **AS_FORM})
    own, other = {"function": "noop", "queue": OWN_QUEUE}, {"function": "noop", "queue": target.queue}
    parent = {**own, "depends_on": [target.job("finished")]}
    for jobs in ({"a": other}, {"a": own, "b": other}, {"a": parent}):
        yield TenantRequest("POST", "/workflows", json.dumps({"jobs": jobs}).encode(), AS_JSON)
        yield TenantRequest("POST", "/workflows", json.dumps({"jobs": jobs, "finally": own}).encode(), AS_JSON)
    yield TenantRequest("POST", "/workflows", json.dumps({"jobs": {"a": own}, "finally": other}).encode(), AS_JSON)
    for query in ("", "?dry_run=true"):
        body = json.dumps({"every": "1h", "job": other}).encode()
        yield TenantRequest("PUT", f"/schedules/own{query}", body, AS_JSON)
    yield TenantRequest("GET", f"/schedules?queue={target.queue}")
    yield TenantRequest("GET", "/schedules/preview?cron=0%200%20*%20*%20*&timezone=" + target.queue)


def _of_callbacks(target: Target) -> Iterator[TenantRequest]:
    callback, host = target.callback, f"{target.queue}.example:443"
    for form in (
        callback,
        percent_encoded(callback),
        callback.upper(),
        callback.replace("_1_", "_01_"),
        f"{callback}/",
    ):
        yield TenantRequest("GET", f"/callbacks/{form}")
        yield TenantRequest("POST", f"/callbacks/{form}/retry")
    for query in ("", "?status=dead", f"?host={host}", "?limit=1", f"?status=dead&host={host}"):
        yield TenantRequest("GET", f"/callbacks{query}")
        yield TenantRequest("GET", f"/dashboard/callbacks{query}", headers={"Accept": "text/html"})
    for body in ({}, {"host": host}, {"since": "2020-01-01T00:00:00Z"}):
        yield TenantRequest("POST", "/callbacks/replay", json.dumps(body).encode(), AS_JSON)
    yield TenantRequest("POST", "/dashboard/callbacks/replay", f"host={host}".encode(), AS_FORM)
    yield TenantRequest("POST", f"/dashboard/callbacks/{callback}/retry", b"", AS_FORM)
    yield TenantRequest("POST", f"/callbacks/listen?name={target.prefix}")
    yield TenantRequest("POST", "/callbacks/listen/ack", json.dumps({"receipts": [callback]}).encode(), AS_JSON)


def _of_many_jobs(target: Target) -> Iterator[TenantRequest]:
    ids, label, queue = [target.job(state) for state in STATES], target.label, target.queue
    for options in ({}, {"any": True}, {"all": True}):
        yield TenantRequest("POST", "/jobs/wait", json.dumps({"ids": ids, "timeout": 0, **options}).encode(), AS_JSON)
    yield TenantRequest("POST", "/jobs/wait", json.dumps({"ids": [*ids, OWN_JOB], "timeout": 0}).encode(), AS_JSON)
    for query in (
        f"label={label}",
        f"label={label}&queue={queue}",
        f"label={label}&status=queued",
        f"label={label}&limit=1",
    ):
        yield TenantRequest("GET", f"/jobs?{query}")
        yield TenantRequest("GET", f"/events?wait=0&{query.partition('&')[0]}")
    for status in ("queued", "failed", "deleted"):
        yield TenantRequest("GET", f"/events?wait=0&status={status}&queue={queue}")
    for path in (f"/operations/{target.operation}", f"/operations/{percent_encoded(target.operation)}"):
        yield TenantRequest("GET", path)
        yield TenantRequest("POST", f"{path}/cancel")
    for key in (target.prefix, f"{target.prefix}:x"):
        yield TenantRequest("GET", f"/limits/{key}")
        yield TenantRequest("PUT", f"/limits/{key}", b'{"concurrency":0}', AS_JSON)
        yield TenantRequest("DELETE", f"/limits/{key}")
    yield TenantRequest("POST", "/dashboard/limits", f"key={target.prefix}&concurrency=0".encode(), AS_FORM)
    for verb in ("requeue", "delete"):
        form = f"queue={queue}&group={target.prefix}".encode()
        yield TenantRequest("POST", f"/dashboard/failures/{verb}", form, AS_FORM)
        yield TenantRequest("GET", f"/dashboard/failures?queue={queue}", headers={"Accept": "text/html"})
    for action, wanted in (
        *((action, {"queue": queue}) for action in ("requeue", "cancel", "delete")),
        *((action, {"label": label}) for action in ("requeue", "cancel", "delete")),
        *((action, {"label": label, "queue": OWN_QUEUE}) for action in ("requeue", "cancel", "delete")),
        ("requeue", {"reason": "exception"}),
        ("delete", {"status": "finished"}),
    ):
        yield TenantRequest("POST", "/operations", json.dumps({"action": action, "filter": wanted}).encode(), AS_JSON)


def _of_later_features(target: Target) -> Iterator[TenantRequest]:
    """Yield what reaches jobs from the side: streams that go on, pages of lists, runs that are only tried, holders."""
    queue, job, label = target.queue, target.job("started"), target.label
    own = {"function": "noop", "queue": OWN_QUEUE}
    for last_id in ("0-0", "0", "1-1,1-1", "-", "9" * 30, target.cursor):
        headers = {"Last-Event-ID": last_id}
        yield TenantRequest("GET", "/events?wait=0", headers=headers)
        yield TenantRequest("HEAD", f"/jobs/{job}/events", headers=headers)
        yield TenantRequest("GET", f"/jobs/{job}/logs?after={last_id}")
    for path in ("/callbacks", "/operations", "/schedules", f"/jobs?label={label}", f"/events?wait=0&label={label}"):
        separator = "&" if "?" in path else "?"
        yield TenantRequest("GET", f"{path}{separator}cursor={target.cursor}")
        yield TenantRequest("GET", f"{path}{separator}limit=1000&queue={queue}")
    for action in ("requeue", "cancel", "delete"):
        for wanted in ({"label": label}, {"function": "noop"}, {"function": "noop", "queue": queue}):
            body = {"action": action, "filter": wanted, "dry_run": True}
            yield TenantRequest("POST", "/operations", json.dumps(body).encode(), AS_JSON)
    for jobs in (
        {"a": {**own, "depends_on": [{"job": target.job("finished"), "when": "ended"}]}},
        {"a": {**own, "unique": {"key": f"{target.prefix}-unique", "within": 60}}},
        {"a": {**own, "id": target.job("queued")}},
    ):
        yield TenantRequest("POST", "/workflows", json.dumps({"jobs": jobs}).encode(), AS_JSON)
    for parents in ([target.job("started")], [target.workflow], [OWN_JOB, target.job("queued")]):
        body = {**own, "depends_on": [{"job": each, "when": "ended"} for each in parents]}
        yield TenantRequest("POST", "/jobs", json.dumps(body).encode(), AS_JSON)
        yield TenantRequest("POST", "/jobs/batch", json.dumps(body).encode(), {"Content-Type": "application/x-ndjson"})
    for template in ({"function": "noop", "queue": queue}, {**own, "depends_on": [target.job("finished")]}):
        for query in ("", "?dry_run=true"):
            body = {"cron": "0 0 1 1 *", "job": template}
            yield TenantRequest("PUT", f"/schedules/{target.prefix}-new{query}", json.dumps(body).encode(), AS_JSON)
    for accept in ("application/openmetrics-text", "text/plain;version=0.0.4", "*/*"):
        yield TenantRequest("GET", "/metrics", headers={"Accept": accept})
    for query in (f"cursor={target.cursor}", f"label={label}", f"search={target.prefix}", f"limit=1000&queue={queue}"):
        yield TenantRequest("GET", f"/dashboard/jobs?{query}", headers={"Accept": "text/html"})
        yield TenantRequest("GET", f"/dashboard/failures?{query}", headers={"Accept": "text/html"})
        yield TenantRequest("HEAD", f"/dashboard/events?page=jobs&{query}")
    for page in ("limits", "keys", "audit", "workers"):
        yield TenantRequest("GET", f"/dashboard/{page}?key={target.prefix}&queue={queue}")
    yield TenantRequest("HEAD", f"/dashboard/events?page=job&id={job}")
    yield TenantRequest("POST", f"/workers/{queue}/drain")
    yield TenantRequest("POST", f"/dashboard/workers/{queue}/drain", b"", AS_FORM)
    yield TenantRequest("POST", f"/dashboard/keys/{target.key_id}/revoke", b"", AS_FORM)
    yield TenantRequest("POST", f"/callbacks/listen?name={target.prefix}&wait=0", b"", AS_JSON)
    for method in ("TRACE", "PROPFIND"):
        yield TenantRequest(method, f"/jobs/{job}")
