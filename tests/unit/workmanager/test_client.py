"""The client against managers that refuse, fail, stop answering or do not exist."""

import base64
import ipaddress
import json
import math
import re
import ssl
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, use_span

from tests.unit.workmanager.scripted_manager import LOST, Answer, Request, ScriptedManager
from workmanager.client import Client, Completed
from workmanager.errors import ClientError, UsageError
from workmanager.http import transport
from workmanager.http.submission import Submission
from workmanager.local import ports

UNAVAILABLE = Answer({"title": "Service Unavailable", "detail": "Redis is unavailable"}, 503, {"Retry-After": "0"})


def _dead_url() -> str:
    return f"http://127.0.0.1:{ports.free_port()}"


def test_an_enqueue_sends_the_data_the_iterations_the_key_and_a_new_id() -> None:
    with ScriptedManager(Answer({"Work ID": "given"})) as manager, Client(manager.url, "secret") as client:
        assert client.enqueue(b"\0data", iterations=3, timeout_seconds=60) == "given"
    (request,) = manager.requests
    assert (request.method, request.path, request.body) == ("PUT", "/enqueue", b"\0data")
    assert request.headers["Authorization"] == "Bearer secret"
    assert {**request.params, "id": ""} == {"iterations": "3", "timeout": "60", "id": ""}
    assert request.params["id"]


def test_a_request_tells_which_span_is_current() -> None:
    state = TraceState([("vendor", "value")])
    span = NonRecordingSpan(SpanContext(0xA, 0xB, is_remote=False, trace_flags=TraceFlags(1), trace_state=state))
    with ScriptedManager(Answer({"Work ID": "given"})) as manager, Client(manager.url) as client:
        client.enqueue(b"data", iterations=3)
        with use_span(span):
            client.enqueue(b"data", iterations=3)
    without, within = manager.requests
    assert "traceparent" not in without.headers
    assert within.headers["traceparent"] == f"00-{0xA:032x}-{0xB:016x}-01"
    assert within.headers["tracestate"] == "vendor=value"


def test_a_warning_about_a_submitted_job_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    answers = [
        Answer({"Work ID": "a", "warning": "nobody serves it"}),
        Answer({"id": "b", "warning": "nobody serves it"}, 201),
        Answer({"id": "c", "warning": "nobody serves it"}),
    ]
    with ScriptedManager(*answers) as manager, Client(manager.url) as client:
        client.enqueue(b"data", iterations=1)
        client.submit("noop")
        assert list(client.submit_many([{"function": "noop"}])) == ["c"]
    logged = [record.message for record in caplog.records if record.name == "workmanager.client"]
    assert logged == ["nobody serves it"]


@pytest.mark.parametrize("failure", [UNAVAILABLE, LOST, Answer("", 502)])
def test_a_failed_enqueue_is_retried_with_the_same_id_at_the_next_manager(failure: Answer) -> None:
    with (
        ScriptedManager(failure) as first,
        ScriptedManager(Answer({"Work ID": "given"})) as second,
        Client([first.url, second.url]) as client,
    ):
        client.enqueue(b"data", iterations=1)
        assert first.requests[0].params["id"] == second.requests[0].params["id"]
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", first.requests[0].params["id"])


def test_a_dead_manager_is_skipped_and_the_one_that_answered_is_kept() -> None:
    with ScriptedManager(Answer({"Jobs": 1})) as alive, Client([_dead_url(), alive.url]) as client:
        started_at = time.monotonic()
        for _ in range(20):
            assert client.status() == {"Jobs": 1}
        assert time.monotonic() - started_at < 2
    assert len(alive.requests) == 20


def test_the_only_manager_is_retried_until_it_answers() -> None:
    with ScriptedManager(UNAVAILABLE, UNAVAILABLE, Answer({"Jobs": 0})) as manager, Client(manager.url) as client:
        assert client.status() == {"Jobs": 0}


def test_retry_after_is_respected() -> None:
    busy = Answer({}, 503, {"Retry-After": "1"})
    with ScriptedManager(busy, Answer({"Jobs": 0})) as manager, Client(manager.url) as client:
        started_at = time.monotonic()
        client.status()
        assert time.monotonic() - started_at >= 1


def test_a_request_that_exceeded_a_limit_is_sent_again_when_the_manager_says() -> None:
    # It was not carried out, so it is repeated even if it is not safe to send twice.
    busy = Answer({"detail": "too many"}, 429, {"Retry-After": "1"})
    with (
        ScriptedManager(busy, Answer({"requeued": 1})) as one,
        ScriptedManager(busy, Answer({"requeued": 1})) as other,
        Client([one.url, other.url]) as client,
    ):
        started_at = time.monotonic()
        assert client.requeue_failed("default") == {"requeued": 1}
        assert time.monotonic() - started_at >= 1, "the other manager is not asked sooner"
    late = Answer({"detail": "too many"}, 429, {"Retry-After": "60"})
    with ScriptedManager(late) as manager, Client(manager.url) as client, pytest.raises(ClientError) as caught:
        client.cancel("abc")
    assert (caught.value.status, caught.value.retried, len(manager.requests)) == (429, False, 1)


def test_retries_end_with_the_last_failure() -> None:
    with ScriptedManager(UNAVAILABLE) as manager, Client(manager.url, retry_seconds=0.5) as client:
        started_at = time.monotonic()
        with pytest.raises(ClientError, match="Redis is unavailable") as caught:
            client.status()
        assert time.monotonic() - started_at < 2
    assert caught.value.status == 503
    assert 1 < len(manager.requests) < 20


def test_a_manager_over_https_must_have_a_trusted_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    _write_certificate(certificate, key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ScriptedManager(Answer({"Jobs": 1}), tls=context) as manager:
        with (
            Client(manager.url, retry_seconds=0.2) as client,
            pytest.raises(ClientError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            client.status()
        assert manager.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with Client([_dead_url(), manager.url]) as client:
            assert client.status() == {"Jobs": 1}


def _write_certificate(certificate: Path, key: Path) -> None:
    """Write a certificate for 127.0.0.1 that it has signed itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    start = datetime.now(UTC) - timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=2))
        .add_extension(address, critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate.write_bytes(made.public_bytes(pem))
    key.write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


def test_an_unreachable_manager_is_named() -> None:
    url = _dead_url()
    with Client(url, retry_seconds=0.2) as client, pytest.raises(ClientError, match=f"no answer from {url}") as caught:
        client.status()
    assert caught.value.status is None


def test_a_refused_request_is_not_retried_and_shows_its_details() -> None:
    problem = {"type": "about:blank", "title": "Unprocessable", "status": 422, "detail": "iterations: at least 1"}
    with (
        ScriptedManager(Answer(problem, 422)) as manager,
        Client(manager.url) as client,
        pytest.raises(ClientError, match=r"iterations: at least 1 \(HTTP 422\)") as caught,
    ):
        client.enqueue(b"", iterations=0)
    assert caught.value.problem == problem
    assert len(manager.requests) == 1


def test_a_pull_whose_answer_is_lost_is_not_retried() -> None:
    with ScriptedManager(LOST) as manager, Client(manager.url) as client, pytest.raises(ClientError):
        client.pull(10)
    assert len(manager.requests) == 1


def test_a_leased_pull_whose_answer_is_lost_is_retried() -> None:
    answer = Answer([{"Work ID": "a", "Value": "ff"}, {"Work ID": "b", "Value": {"n": 1}}])
    with ScriptedManager(LOST, answer) as manager, Client(manager.url) as client:
        results = client.pull(10, order="oldest", lease_seconds=30, wait_seconds=5)
    assert results == [Completed("a", "ff"), Completed("b", {"n": 1})]
    assert manager.requests[1].params == {"top": "10", "order": "oldest", "lease": "30", "wait": "5"}


def test_a_plain_pull_that_reached_no_manager_is_retried() -> None:
    with ScriptedManager(Answer([])) as manager, Client([_dead_url(), manager.url]) as client:
        assert client.pull() == []
    assert manager.requests[0].params == {"top": "100"}


def test_a_pull_that_got_503_is_retried() -> None:
    with ScriptedManager(UNAVAILABLE, Answer([])) as manager, Client(manager.url) as client:
        assert client.pull(10) == []
    assert len(manager.requests) == 2


def test_a_silent_manager_is_skipped_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_ATTEMPT_TIMEOUT_SECONDS", 0.2)
    with (
        ScriptedManager(Answer(late_seconds=20)) as silent,
        ScriptedManager(Answer({"Work ID": "a"})) as other,
        Client([silent.url, other.url]) as client,
    ):
        started_at = time.monotonic()
        for _ in range(3):
            client.enqueue(b"", iterations=1)
        assert time.monotonic() - started_at < 5
        assert (len(silent.requests), len(other.requests)) == (1, 3)
        assert silent.requests[0].params["id"] == other.requests[0].params["id"]


def test_the_timeout_grows_with_each_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "FIRST_ATTEMPT_TIMEOUT_SECONDS", 0.1)
    busy = Answer({"Jobs": 1}, late_seconds=0.5)
    with ScriptedManager(busy) as manager, Client(manager.url, retry_seconds=20) as client:
        assert client.status() == {"Jobs": 1}
        assert len(manager.requests) == 4
    # The last attempt has as long as any request.
    with ScriptedManager(busy) as manager, Client(manager.url, retry_seconds=0.25) as client:
        assert client.status() == {"Jobs": 1}
        assert len(manager.requests) == 2


@pytest.mark.parametrize("wait_seconds", [0, 1])
def test_long_polls_and_requests_that_cannot_be_retried_get_more_time(
    monkeypatch: pytest.MonkeyPatch, wait_seconds: int
) -> None:
    monkeypatch.setattr(transport, "FIRST_ATTEMPT_TIMEOUT_SECONDS", 0.2)
    with ScriptedManager(Answer([], late_seconds=0.8)) as manager, Client(manager.url) as client:
        client.pull(lease_seconds=9 if wait_seconds else None, wait_seconds=wait_seconds)
        assert len(manager.requests) == 1


def test_a_request_that_is_not_idempotent_is_not_retried() -> None:
    for failure in (LOST, UNAVAILABLE):
        with ScriptedManager(failure) as manager, Client(manager.url) as client, pytest.raises(ClientError):
            client.requeue_failed("x")
        assert [request.path for request in manager.requests] == ["/queues/x/requeue-failed"]


@pytest.mark.parametrize(
    ("name", "segment"), [(".", "%2E"), ("..", "%2E%2E"), ("a/../b", "a%2F..%2Fb"), ("v1.2", "v1.2")]
)
def test_a_name_is_one_segment_of_the_path_whatever_it_is(name: str, segment: str) -> None:
    with ScriptedManager(Answer({}), Answer({}), Answer({})) as manager, Client(manager.url) as client:
        client.pause_queue(name)
        client.requeue_failed(name)
        client.job(name)
    assert [request.path for request in manager.requests] == [
        f"/queues/{segment}/pause",
        f"/queues/{segment}/requeue-failed",
        f"/jobs/{segment}",
    ]


@pytest.mark.parametrize("failure", [UNAVAILABLE, LOST])
@pytest.mark.parametrize(("verb", "status"), [("cancel", "canceled"), ("cancel", "stopped"), ("requeue", "started")])
def test_a_change_that_an_earlier_attempt_made_succeeds(failure: Answer, verb: str, status: str) -> None:
    """The retry finds nothing left to change: 409."""
    job = {"id": "x", "status": status}
    with ScriptedManager(failure, Answer({}, 409), Answer(job)) as manager, Client(manager.url) as client:
        assert getattr(client, verb)("x") == job
    assert [request.path for request in manager.requests] == [f"/jobs/x/{verb}", f"/jobs/x/{verb}", "/jobs/x"]


@pytest.mark.parametrize(
    "answers", [(Answer({}, 409),), (UNAVAILABLE, Answer({}, 409), Answer({"status": "finished"}))]
)
def test_a_change_that_no_attempt_made_is_refused(answers: tuple[Answer, ...]) -> None:
    with (
        ScriptedManager(*answers) as manager,
        Client(manager.url) as client,
        pytest.raises(ClientError, match="409"),
    ):
        client.cancel("x")


def test_a_submitted_job_has_an_id_and_its_data_in_base64() -> None:
    accepted = Answer({"id": "given", "status": "queued"}, 201)
    with ScriptedManager(UNAVAILABLE, accepted) as manager, Client(manager.url) as client:
        assert client.submit("module.function", kwargs={"n": 1}, data=b"\xff") == "given"
    first, second = (json.loads(request.body) for request in manager.requests)
    assert first == second
    assert first.pop("id")
    assert first == {"function": "module.function", "kwargs": {"n": 1}, "data": base64.b64encode(b"\xff").decode()}


def test_a_unique_job_has_no_id_and_is_not_retried() -> None:
    with ScriptedManager(UNAVAILABLE) as manager, Client(manager.url) as client, pytest.raises(ClientError):
        client.submit("noop", unique={"key": "k", "within": 60})
    assert len(manager.requests) == 1
    assert "id" not in json.loads(manager.requests[0].body)


def test_a_job_without_a_value_for_its_id_gets_one() -> None:
    with ScriptedManager(UNAVAILABLE, Answer({"id": "given"}, 201)) as manager, Client(manager.url) as client:
        options: Any = {"id": None}
        assert client.submit("noop", **options) == "given"
    first, second = (json.loads(request.body) for request in manager.requests)
    assert first == second
    assert first["id"]


def test_a_job_can_start_at_a_datetime() -> None:
    at = datetime(2030, 1, 31, 8, tzinfo=UTC)
    with ScriptedManager(Answer({"id": "given"}, 201)) as manager, Client(manager.url) as client:
        client.submit("noop", at=at)
    assert json.loads(manager.requests[0].body)["at"] == "2030-01-31T08:00:00+00:00"


@pytest.mark.parametrize("value", [math.nan, math.inf, {1}, object(), b"bytes"])
def test_a_job_that_is_no_json_is_refused_before_anything_is_sent(value: object) -> None:
    with ScriptedManager(Answer({"id": "given"}, 201)) as manager, Client(manager.url) as client:
        for submit in (
            lambda: client.submit("noop", kwargs={"n": value}),
            lambda: list(client.submit_many([{"function": "noop", "kwargs": {"n": value}}])),
        ):
            with pytest.raises(UsageError, match="the job cannot be written as JSON"):
                submit()
    assert manager.requests == []


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (json.dumps, r'"json\.dumps"'),
        (lambda: None, r"module\.function"),
        ("".join, r"module\.function"),
    ],
)
def test_whoever_gives_a_function_itself_is_told_to_give_its_name(function: Any, told: str) -> None:
    with ScriptedManager(Answer({"id": "given"}, 201)) as manager, Client(manager.url) as client:
        calls: list[Callable[[], object]] = [
            lambda: client.submit(function),
            lambda: list(client.map(function, [1])),
            lambda: client.submit_workflow({"a": {"function": function}}),
            lambda: client.schedules.put("daily", {"every": "1d", "job": {"function": function}}),
        ]
        for call in calls:
            with pytest.raises(UsageError, match=f"cannot be written as JSON: .* is given by its name, {told}$"):
                call()
    assert manager.requests == []


def test_text_that_is_no_unicode_is_sent_as_json_escapes() -> None:
    with ScriptedManager(Answer({"id": "given"}, 201)) as manager, Client(manager.url) as client:
        client.submit("noop", kwargs={"name": "\udcff"})
    assert b'"\\udcff"' in manager.requests[0].body


def test_a_batch_with_too_few_answers_is_an_error() -> None:
    with (
        ScriptedManager(Answer('{"id":"a"}\n')) as manager,
        Client(manager.url) as client,
        pytest.raises(ClientError, match="gave 1 answers to 2 jobs"),
    ):
        list(client.submit_many([{"function": "noop"}, {"function": "noop"}]))


def test_the_client_has_every_option_of_a_job() -> None:
    document = json.loads((Path(__file__).parents[3] / "openapi.json").read_text())
    assert Submission.__annotations__.keys() == document["components"]["schemas"]["Submission"]["properties"].keys()


def test_many_jobs_take_a_few_requests_and_are_answered_in_order() -> None:
    def lines(first: int, count: int) -> Answer:
        refusal = json.dumps({"error": {"status": 422, "detail": "unknown function"}})
        answers = [json.dumps({"id": str(number)}) for number in range(first, first + count)]
        return Answer("\n".join([*answers[:-1], refusal]) + "\n")

    jobs: list[Submission] = [{"function": "noop", "kwargs": {"n": number}} for number in range(700)]
    with ScriptedManager(lines(0, 500), lines(500, 200)) as manager, Client(manager.url) as client:
        results = list(client.submit_many(jobs))
    assert [request.body.count(b"\n") for request in manager.requests] == [500, 200]
    refused = {index: str(result) for index, result in enumerate(results) if isinstance(result, ClientError)}
    assert refused == {499: "unknown function", 699: "unknown function"}
    assert [result for result in results if isinstance(result, str)] == [
        str(number) for number in range(700) if number not in refused
    ]


def test_any_number_of_jobs_needs_little_memory() -> None:
    """Neither jobs nor answers are kept."""
    jobs = 100_000
    kept_blocks: list[int] = []

    def accept(request: Request) -> Answer:
        manager.requests.clear()
        kept_blocks.append(sys.getallocatedblocks())
        return Answer('{"id":"a"}\n' * request.body.count(b"\n"))

    submissions = (Submission(function="f", args=[number]) for number in range(jobs))
    with ScriptedManager(routes=accept) as manager, Client(manager.url) as client:
        assert sum(job_id == "a" for job_id in client.submit_many(submissions)) == jobs
    assert max(kept_blocks) - kept_blocks[0] < jobs / 5


def test_batch_lines_of_an_unavailable_shard_are_retried_with_their_ids() -> None:
    unavailable = {"error": {"status": 503, "detail": "a shard is unavailable"}}

    def answer(*results: object) -> Answer:
        return Answer("".join(json.dumps(result) + "\n" for result in results))

    jobs: list[Submission] = [{"function": "noop"} for _ in range(3)]
    jobs.append({"function": "noop", "unique": {"key": "k", "within": 9}})
    answers = (
        answer({"id": "0"}, unavailable, unavailable, unavailable),
        answer(unavailable, {"id": "2"}),
        answer({"id": "1"}),
    )
    with ScriptedManager(*answers) as manager, Client(manager.url) as client:
        results = list(client.submit_many(jobs))
    assert results[:3] == ["0", "1", "2"]
    assert isinstance(results[3], ClientError), "a job without an id is not retried"
    sent = [[json.loads(line).get("id") for line in request.body.splitlines()] for request in manager.requests]
    assert sent[1:] == [sent[0][1:3], sent[0][1:2]]


def test_batch_lines_beyond_a_limit_are_sent_again_when_the_manager_says() -> None:
    busy = Answer(json.dumps({"error": {"status": 429, "detail": "too many", "retry_after": 1}}) + "\n")
    unique: Submission = {"function": "noop", "unique": {"key": "k", "within": 9}}
    with ScriptedManager(busy, Answer('{"id": "a"}\n')) as manager, Client(manager.url) as client:
        started_at = time.monotonic()
        assert list(client.submit_many([unique])) == ["a"]
        assert time.monotonic() - started_at >= 1
    late = Answer(json.dumps({"error": {"status": 429, "detail": "too many", "retry_after": 60}}) + "\n")
    with ScriptedManager(late) as manager, Client(manager.url) as client:
        (result,) = client.submit_many([unique])
    assert isinstance(result, ClientError)
    assert (result.status, len(manager.requests)) == (429, 1)


def test_batch_lines_that_stay_unavailable_are_reported_in_the_end() -> None:
    unavailable = Answer(json.dumps({"error": {"status": 503, "detail": "a shard is unavailable"}}) + "\n")
    with ScriptedManager(unavailable) as manager, Client(manager.url, retry_seconds=0.5) as client:
        (result,) = client.submit_many([{"function": "noop"}])
    assert isinstance(result, ClientError)
    assert 1 < len(manager.requests) < 20


def test_large_jobs_are_split_over_requests() -> None:
    jobs: list[Submission] = [{"function": "sha512", "data": bytes(200 * 1024)} for _ in range(4)]
    with ScriptedManager(Answer('{"id": "a"}\n')) as manager, Client(manager.url) as client:
        assert list(client.submit_many(iter(jobs))) == ["a"] * 4
    assert len(manager.requests) == 4


def test_listing_follows_the_cursor() -> None:
    pages = (
        Answer({"jobs": [{"id": "a"}, {"id": "b"}], "cursor": "next"}),
        Answer({"jobs": [{"id": "c"}], "cursor": None}),
    )
    with ScriptedManager(*pages) as manager, Client(manager.url) as client:
        assert [job["id"] for job in client.jobs(status="failed", page_size=2)] == ["a", "b", "c"]
    assert [request.params for request in manager.requests] == [
        {"status": "failed", "limit": "2"},
        {"status": "failed", "limit": "2", "cursor": "next"},
    ]


def test_a_manager_on_this_machine_is_not_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", _dead_url())
    monkeypatch.setenv("ALL_PROXY", _dead_url())
    with ScriptedManager(Answer({"Jobs": 0})) as manager, Client(manager.url, retry_seconds=0) as client:
        assert client.status() == {"Jobs": 0}


def test_an_answer_that_is_not_json_is_reported() -> None:
    with (
        ScriptedManager(Answer("<html>")) as manager,
        Client(manager.url) as client,
        pytest.raises(ClientError, match="/status did not answer with JSON"),
    ):
        client.status()


def test_an_id_is_one_segment_of_the_path() -> None:
    with ScriptedManager(Answer({"id": "a/b"})) as manager, Client(manager.url) as client:
        client.job("../status?x", wait_seconds=2)
    assert manager.requests[0].path == "/jobs/..%2Fstatus%3Fx"
    assert manager.requests[0].params == {"wait": "2"}


@pytest.mark.parametrize("urls", [[], ["localhost:5000"], ["http://"], ["http://[::"], ["ftp://127.0.0.1"]])
def test_a_missing_or_malformed_url_is_refused(urls: list[str]) -> None:
    with pytest.raises(UsageError):
        Client(urls)


def test_events_of_a_job_go_on_at_another_manager_after_a_broken_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workmanager.http.job_events.REOPEN_SECONDS", 0)
    status = 'event: status\ndata: {"id": "a", "status": "started"}\n\n'
    log = 'event: log\nid: 7-0\ndata: {"text": "one"}\n\n: ping\n\n'
    end = 'event: end\ndata: {"id": "a",\ndata: "status": "finished"}\n\n'
    with ScriptedManager(Answer(status + log), Answer(status + end)) as manager, Client(manager.url) as client:
        events = list(client.events("a"))
    assert [(event["event"], event["id"]) for event in events] == [("status", None), ("log", "7-0"), ("end", None)]
    assert events[-1]["data"] == {"id": "a", "status": "finished"}
    assert [request.headers.get("Last-Event-ID") for request in manager.requests] == [None, "7-0"]


def test_changes_go_on_behind_the_last_id_that_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workmanager.http.job_events.REOPEN_SECONDS", 0)
    snapshot = 'event: snapshot\nid: 1-0\ndata: {"queues": {}}\n\n: ping\nid: 5-0\n\n'
    status = 'event: status\nid: 6-0\ndata: {"id": "a", "status": "queued"}\n\n'
    with ScriptedManager(Answer(snapshot), Answer(status)) as manager, Client(manager.url) as client:
        changes = client.changes(queue="q", label="order:42")
        assert [next(changes)["event"], next(changes)["data"]["id"]] == ["snapshot", "a"]
    assert [request.headers.get("Last-Event-ID") for request in manager.requests] == [None, "5-0"]
    assert manager.requests[1].params == {"queue": "q", "label": "order:42"}


def test_a_deletion_whose_answer_was_lost_is_done() -> None:
    with ScriptedManager(LOST, Answer({}, 404)) as manager, Client(manager.url) as client:
        client.delete("a")
    assert [request.method for request in manager.requests] == ["DELETE", "DELETE"]
