"""Traces of jobs, as a collector gets them from a running system."""

import json
from pathlib import Path

from tests.acceptance.tracing.conftest import CALLER, CALLER_PLACE, JOBS, JOINED, System


def test_a_submission_is_part_of_the_clients_trace_and_its_run_a_trace_of_its_own_with_a_link(system: System) -> None:
    assert system.run("single", f"{JOBS}.nothing", queue="reports") == "finished"
    (sent,) = system.collector.of_job("single", "send")
    assert (sent.name, sent.kind, sent.service) == ("send reports", "PRODUCER", "workmanager-manager")
    assert (sent.trace_id, sent.parent_id) == CALLER_PLACE
    assert sent.attributes == {
        "messaging.system": "workmanager",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "reports",
        "messaging.message.id": "single",
        "workmanager.function": f"{JOBS}.nothing",
        "http.response.status_code": 201,
    }
    (run,) = system.collector.of_job("single", "process")
    assert (run.name, run.kind, run.service) == ("process reports", "CONSUMER", "workmanager-worker")
    assert (run.parent_id, run.links, run.failed) == ("", (sent.place,), False)
    assert run.trace_id != sent.trace_id
    assert run.attributes["workmanager.attempt"] == 1
    assert run.attributes["messaging.operation.type"] == "process"
    assert 0 <= run.attributes["workmanager.wait_seconds"] < 30
    assert sent.began_at <= run.began_at <= run.ended_at


def test_a_run_is_part_of_the_clients_trace_if_that_is_asked_for(system: System) -> None:
    assert system.run("joined", "noop", queue=JOINED) == "finished"
    (sent,) = system.collector.of_job("joined", "send")
    (run,) = system.collector.of_job("joined", "process")
    assert (sent.trace_id, sent.parent_id) == CALLER_PLACE
    assert (run.trace_id, run.parent_id, run.links) == (sent.trace_id, sent.span_id, ())


def test_a_submission_without_a_trace_begins_one(system: System) -> None:
    system.run("first", "noop", traceparent=None)
    (sent,) = system.collector.of_job("first", "send")
    assert sent.parent_id == ""
    (run,) = system.collector.of_job("first", "process")
    assert run.links == (sent.place,)


def test_a_traceparent_that_is_none_is_ignored(system: System) -> None:
    system.run("ignored", "noop", traceparent="garbage")
    (sent,) = system.collector.of_job("ignored", "send")
    assert sent.parent_id == ""


def test_each_attempt_has_a_span_with_the_reason_why_it_failed(system: System, tmp_path: Path) -> None:
    options = {"retry": {"max": 1}, "queue": JOINED}
    assert system.run("again", f"{JOBS}.fail_once", str(tmp_path / "mark"), **options) == "finished"
    (sent,) = system.collector.of_job("again", "send")
    first, second = system.collector.of_job("again", "process", 2)
    assert {first.trace_id, second.trace_id} == {sent.trace_id}
    assert (first.parent_id, second.parent_id) == (sent.span_id, sent.span_id)
    assert first.span_id != second.span_id
    assert (first.failed, first.message) == (True, "ValueError: the first time")
    assert first.attributes["error.type"] == "exception"
    assert (second.failed, second.attributes["workmanager.attempt"]) == (False, 2)


def test_a_job_that_is_stopped_or_killed_has_a_span(system: System) -> None:
    assert system.run("late", "sleep", 60, timeout=1) == "failed"
    (run,) = system.collector.of_job("late", "process")
    assert (run.failed, run.attributes["error.type"]) == (True, "timeout")
    assert 0.9 < run.ended_at - run.began_at < 30


def test_spans_of_the_jobs_own_code_are_part_of_its_run(system: System) -> None:
    assert system.run("inner", f"{JOBS}.own_span", system.collector.url) == "finished"
    (run,) = system.collector.of_job("inner", "process")
    (inner,) = system.collector.wait(lambda span: span.service == "the-job" and span.trace_id == run.trace_id)
    assert inner.parent_id == run.span_id
    assert run.began_at <= inner.began_at <= inner.ended_at <= run.ended_at + 0.01
    # The library is imported now, and the next job has a context of its own.
    system.run("inner-2", f"{JOBS}.current_span")
    (second,) = system.collector.of_job("inner-2", "process")
    assert system.http.get("/jobs/inner-2").json()["result"] == second.trace_id != run.trace_id


def test_a_job_in_a_process_of_its_own_knows_its_span(system: System) -> None:
    system.run("forked", f"{JOBS}.current_span", isolation="job")
    (run,) = system.collector.of_job("forked", "process")
    assert system.http.get("/jobs/forked").json()["result"] == run.trace_id


def test_the_function_http_tells_the_service_its_span(system: System) -> None:
    assert system.run("call", "http", f"{system.service.url}?call") == "finished"
    (run,) = system.collector.of_job("call", "process")
    (request,) = [each for each in system.service.requests if each.path.endswith("?call")]
    assert request.headers["traceparent"] == f"00-{run.trace_id}-{run.span_id}-01"


def test_headers_of_a_job_that_name_another_span_are_kept(system: System) -> None:
    system.run("own", "http", f"{system.service.url}?own", "POST", {"Traceparent": CALLER})
    (request,) = [each for each in system.service.requests if each.path.endswith("?own")]
    assert request.headers["traceparent"] == CALLER


def test_a_job_that_a_job_submits_follows_from_its_run(system: System) -> None:
    assert system.run("outer", f"{JOBS}.submit", system.manager.url, "nested") == "finished"
    (run,) = system.collector.of_job("outer", "process")
    (sent,) = system.collector.of_job("nested", "send")
    assert (sent.trace_id, sent.parent_id) == run.place


def test_a_callback_follows_from_the_run(system: System) -> None:
    system.run("told", "noop", callback_url=f"{system.service.url}?told")
    (run,) = system.collector.of_job("told", "process")
    (call,) = system.collector.of_job("told", "POST")
    assert (call.kind, call.attributes["http.response.status_code"]) == ("CLIENT", 204)
    assert (call.links, call.parent_id) == ((run.place,), "")
    assert call.attributes["server.port"] == system.service.port
    # The path and the query of a callback's URL can be secret.
    assert "?" not in json.dumps(call.attributes)
    (received,) = [each for each in system.service.requests if each.path.endswith("?told")]
    assert received.headers["traceparent"] == f"00-{call.trace_id}-{call.span_id}-01"


def test_a_batch_and_a_workflow_have_one_span_of_their_submission(system: System) -> None:
    job = {"function": "noop", "queue": JOINED}
    lines = "".join(json.dumps({"id": f"line-{number}", **job}) + "\n" for number in range(3))
    headers = {"traceparent": CALLER, "content-type": "application/x-ndjson"}
    system.http.post("/jobs/batch", content=lines, headers=headers).raise_for_status()
    jobs = {"first": job, "then": {**job, "depends_on": ["first"]}}
    answer = system.http.post("/workflows", json={"jobs": jobs}, headers=headers | {"content-type": "application/json"})
    members = answer.raise_for_status().json()["jobs"]
    for job_ids, count in (["line-0", "line-1", "line-2"], 3), (list(members.values()), 2):
        runs = [system.collector.of_job(job_id, "process")[0] for job_id in job_ids]
        (sent,) = {run.parent_id for run in runs}
        (span,) = system.collector.wait(lambda span, sent=sent: span.span_id == sent)  # type: ignore[misc]
        assert (span.kind, span.attributes["messaging.batch.message_count"]) == ("PRODUCER", count)
        assert span.place[0] == CALLER_PLACE[0]
    first, then = [system.collector.of_job(members[name], "process")[0] for name in ("first", "then")]
    assert (first.links, then.links) == ((), (first.place,))


def test_a_repeated_submission_is_the_same_whatever_its_trace(system: System) -> None:
    system.run("repeated", "noop")
    again = system.http.post("/jobs", json={"id": "repeated", "function": "noop", "args": [], "feed": False})
    assert again.status_code == 200


def test_a_refused_submission_has_a_span_that_failed(system: System) -> None:
    system.http.post("/jobs", json={"function": "nobody.knows"}, headers={"traceparent": CALLER})
    (span,) = system.collector.wait(lambda span: span.attributes.get("http.response.status_code") == 422)
    assert (span.name, span.failed, span.attributes["error.type"]) == ("send", True, "422")


def test_a_trace_that_is_not_sampled_stays_so(system: System) -> None:
    system.run("unsampled", "noop", traceparent=f"{CALLER[:-2]}00", queue=JOINED)
    system.run("sampled", "noop", queue=JOINED)
    system.collector.of_job("sampled", "process")
    assert [span for span in system.collector.spans if span.attributes.get("messaging.message.id") == "unsampled"] == []


def test_log_lines_name_job_and_trace(system: System) -> None:
    system.run("logged", "sha512", "wrong")
    (run,) = system.collector.of_job("logged", "process")
    request = system.log_line("request_completed", "logged")
    assert (request["trace_id"], request["status"]) == (CALLER_PLACE[0], 201)
    assert system.log_line("job_failed", "logged")["trace_id"] == run.trace_id


def test_put_enqueue_is_traced(system: System) -> None:
    work_id = system.http.put("/enqueue?iterations=2", content=b"data", headers={"traceparent": CALLER}).json()[
        "Work ID"
    ]
    (sent,) = system.collector.of_job(work_id, "send")
    assert (sent.name, sent.trace_id) == ("send default", CALLER_PLACE[0])
    assert system.collector.of_job(work_id, "process")[0].links == (sent.place,)
