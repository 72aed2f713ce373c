"""Client commands: the requests they send, their output and their exit codes."""

import json

import pytest

from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager
from workmanager.local import ports


def test_queues_prints_a_table_or_json_lines(run: Run) -> None:
    queue = {"name": "high", "served": False, "paused": True, "queued": 3, "scheduled": 0, "started": 1, "failed": 2}
    with ScriptedManager(Answer({"queues": [queue]})) as manager:
        table = run("queues", "--url", manager.url)[1].splitlines()
        assert [line.split() for line in table] == [
            ["NAME", "SERVED", "PAUSED", "QUEUED", "SCHEDULED", "STARTED", "FAILED", "OLDEST_SECONDS"],
            ["high", "false", "true", "3", "0", "1", "2"],
        ]
        assert json.loads(run("queues", "--json", "--url", manager.url)[1]) == queue


def test_pull_prints_a_table_or_json_lines(run: Run) -> None:
    digest = "f" * 128
    with ScriptedManager(Answer([{"Work ID": "abc", "Value": digest}])) as manager:
        done = run("pull", "--top", "5", "--order", "oldest", "--lease", "30", "--wait", "2", "--url", manager.url)
        assert done == (0, f"WORK ID  VALUE\nabc      {digest}\n", "")
        assert run("pull", "--json", "--url", manager.url)[1] == f'{{"Work ID":"abc","Value":"{digest}"}}\n'
    assert manager.requests[0].params == {"top": "5", "order": "oldest", "lease": "30", "wait": "2"}


FAILED = {
    "id": "abc",
    "status": "failed",
    "attempts": 2,
    "error": {
        "reason": "exception",
        "message": "ValueError: two\nlines \x1b[2J",
        "traceback": 'Traceback (most recent call last):\n  File "jobs.py", line 1\nValueError: two\nlines \x1b[2J',
    },
    "attempt_errors": [
        {"ended_at": "T1", "worker": "w", "reason": "worker_lost", "message": "lost", "traceback": "lost"},
        {"ended_at": "T2", "worker": "w", "reason": "exception", "message": "ValueError: two\nlines", "traceback": ""},
    ],
}
SHOWN = """id:       abc
status:   failed
attempts: 2

2 failed attempts:
  T1  worker_lost: lost
  T2  exception: ValueError: two

error: exception: ValueError: two
lines \\x1b[2J
Traceback (most recent call last):
  File "jobs.py", line 1
ValueError: two
lines \\x1b[2J
"""


def test_a_job_with_one_failed_attempt_says_so(run: Run) -> None:
    job = {"id": "abc", "status": "scheduled", "error": None, "attempt_errors": FAILED["attempt_errors"][:1]}
    with ScriptedManager(Answer(job)) as manager:
        assert "\n1 failed attempt:\n" in run("job", "abc", "--url", manager.url)[1]


def test_a_failed_job_is_shown_with_its_traceback_as_lines(run: Run) -> None:
    with ScriptedManager(Answer(FAILED)) as manager:
        assert run("job", "abc", "--url", manager.url) == (0, SHOWN, "")
        assert json.loads(run("job", "abc", "--json", "--url", manager.url)[1]) == FAILED


def test_a_job_that_failed_at_its_first_attempt_shows_one_error(run: Run) -> None:
    error = {"reason": "rejected", "message": "not registered", "traceback": "not registered"}
    job = {"id": "abc", "status": "failed", "error": error, "attempt_errors": [error]}
    with ScriptedManager(Answer(job)) as manager:
        output = run("job", "abc", "--url", manager.url)[1]
    assert output == "id:     abc\nstatus: failed\n\nerror: rejected: not registered\n"


def test_a_job_without_an_error_is_shown_as_fields(run: Run) -> None:
    with ScriptedManager(Answer({"id": "abc", "error": None, "attempt_errors": []})) as manager:
        assert run("job", "abc", "--url", manager.url)[1] == "id: abc\n"


def test_jobs_are_listed_up_to_the_limit(run: Run) -> None:
    jobs = [{"id": str(number), "status": "failed", "function": "noop", "queue": "default"} for number in range(3)]
    with ScriptedManager(Answer({"jobs": jobs, "cursor": "more"})) as manager:
        code, output, _ = run("jobs", "--status", "failed", "--queue", "default", "--limit", "2", "--url", manager.url)
    assert code == 0
    assert output.splitlines()[0].split() == ["ID", "STATUS", "FUNCTION", "QUEUE", "ENQUEUED_AT", "ENDED_AT"]
    assert [line.split()[0] for line in output.splitlines()[1:]] == ["0", "1"]
    assert manager.requests[0].params == {"status": "failed", "queue": "default"}


@pytest.mark.parametrize(
    ("arguments", "method", "path", "body"),
    [
        (["status"], "GET", "/status", b""),
        (["job", "abc"], "GET", "/jobs/abc", b""),
        (["cancel", "abc"], "POST", "/jobs/abc/cancel", b""),
        (["queues", "pause", "high"], "POST", "/queues/high/pause", b""),
        (["workers", "drain", "rack/7"], "POST", "/workers/rack%2F7/drain", b""),
        (["queues", "resume", "high"], "POST", "/queues/high/resume", b""),
        (["requeue", "abc"], "POST", "/jobs/abc/requeue", b""),
        (["requeue", "--queue", "high", "--failed"], "POST", "/queues/high/requeue-failed", b""),
        (["ack", "a", "b"], "POST", "/ackCompleted", b'{"ids":["a","b"]}'),
    ],
)
def test_a_command_sends_one_request(run: Run, arguments: list[str], method: str, path: str, body: bytes) -> None:
    with ScriptedManager(Answer({"acknowledged": 2} if arguments[0] == "ack" else {"id": "abc"})) as manager:
        code, output, errors = run(*arguments, "--json", "--url", manager.url)
    assert (code, errors) == (0, "")
    assert output == ("" if arguments[0] == "ack" else '{"id":"abc"}\n')
    (request,) = manager.requests
    assert (request.method, request.path, request.body) == (method, path, body)


def test_urls_and_key_come_from_options_or_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = f"http://127.0.0.1:{ports.free_port()}"
    with ScriptedManager(Answer({"Jobs": 0})) as manager:
        assert run("status", "--url", f"{dead}, {manager.url}", "--key", "one")[0] == 0
        assert run("status", "--url", dead, "--url", manager.url, "--key", "two")[0] == 0
        monkeypatch.setenv("WORKMANAGER_URL", f"{dead},{manager.url}")
        monkeypatch.setenv("WORKMANAGER_API_KEY", "three")
        assert run("status")[0] == 0
    keys = [request.headers["Authorization"] for request in manager.requests]
    assert keys == ["Bearer one", "Bearer two", "Bearer three"]


def test_a_refused_request_is_one_line_and_an_exit_code(run: Run) -> None:
    with ScriptedManager(Answer({"title": "Not Found", "detail": "no job abc"}, 404)) as manager:
        assert run("job", "abc", "--url", manager.url) == (3, "", "workmanager: no job abc (HTTP 404)\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], ""),
        (["nonsense"], "unknown command 'nonsense'"),
        (["pull", "--top", "0"], "'0' is not a whole number from 1"),
        (["queues", "pause"], "give the NAME of a queue"),
        (["queues", "list", "high"], "give no NAME to list"),
        (["workers", "drain"], "give the NAME of a worker"),
        (["requeue"], "give either an ID, or --queue NAME --failed"),
        (["requeue", "--queue", "high"], "give either an ID, or --queue NAME --failed"),
        (
            ["status", "--url", "localhost:5000"],
            "'localhost:5000' is not a manager URL; give one such as http://127.0.0.1:5000",
        ),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(run: Run, arguments: list[str], message: str) -> None:
    code, _, errors = run(*arguments)
    assert code == 2
    assert message in errors
    assert errors.count("\n") == (1 if message else 0)


def test_help_lists_the_commands(run: Run) -> None:
    code, output, _ = run("--help")
    assert code == 0
    assert {line.split()[0] for line in output.splitlines()[1:]} >= {"up", "submit", "pull", "status", "requeue"}


SCALER = {
    "leader": "host:5000",
    "epoch": 3,
    "paused": False,
    "limits": {"min_workers": 0, "max_workers": 4, "budget_per_hour": None},
    "observation": {"at": 0.0, "fleet": "local:x", "reason": "KEEP 1: the minimum is 1", "numbers": {}},
    "pending_launches": 0,
    "launch_breaker": {
        "cooldowns": {"m7i/a/spot": 9.0},
        "not_before": 0.0,
        "failed_boots": 0,
        "last_failure": "none left",
    },
    "instances": [
        {
            "id": "i-1",
            "state": "busy",
            "age_seconds": 3.0,
            "boot_seconds": 1.0,
            "type": "m7i",
            "zone": "a",
            "market": "spot",
            "running": 1,
            "interruption": "",
            "reason": "",
        }
    ],
    "decisions": [
        {"at": 60.0, "epoch": 3, "launch": 0, "drain": 1, "reason": "DRAIN 1: idle", "numbers": {}},
        {"at": 0.0, "epoch": 3, "launch": 1, "drain": 0, "reason": "LAUNCH 1: waiting", "numbers": {}},
    ],
}


def test_the_scaler_is_shown_with_its_instances_and_cooldowns(run: Run) -> None:
    with ScriptedManager(Answer(SCALER), Answer(SCALER)) as manager:
        code, shown, _ = run("scaler", "--url", manager.url)
        assert json.loads(run("scaler", "status", "--json", "--url", manager.url)[1]) == SCALER
    assert code == 0
    for value in ("host:5000", "KEEP 1", "m7i/a/spot", "i-1", "busy"):
        assert value in shown


def test_the_scalers_log_ends_with_its_last_decision(run: Run) -> None:
    with ScriptedManager(Answer(SCALER), Answer(SCALER)) as manager:
        shown = run("scaler", "log", "--url", manager.url)[1].splitlines()
        last = run("scaler", "log", "-n", "1", "--json", "--url", manager.url)[1]
    assert shown == ["1970-01-01 00:00:00Z  LAUNCH 1: waiting", "1970-01-01 00:01:00Z  DRAIN 1: idle"]
    assert json.loads(last) == SCALER["decisions"][0]


def test_the_scaler_can_be_paused_resumed_and_limited(run: Run) -> None:
    overrides = {"paused": True, "limits": SCALER["limits"]}
    with ScriptedManager(*[Answer(overrides)] * 3) as manager:
        assert run("scaler", "pause", "--url", manager.url)[0] == 0
        resumed = run("scaler", "resume", "--json", "--url", manager.url)[1]
        assert resumed == json.dumps(overrides, separators=(",", ":")) + "\n"
        limits = ("--max", "9", "--min", "default", "--budget", "1.5")
        assert run("scaler", "limits", *limits, "--url", manager.url)[0] == 0
    assert [(request.method, request.path) for request in manager.requests] == [
        ("POST", "/scaler/pause"),
        ("POST", "/scaler/resume"),
        ("PUT", "/scaler/limits"),
    ]
    sent = json.loads(manager.requests[2].body)
    assert sent == {"max_workers": 9, "min_workers": None, "budget_per_hour": 1.5}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("limits", "--max", "many"), "--max: 'many' is neither a number"),
        (("limits", "--min", "-1"), "--min: '-1' is neither a number from 0"),
        (("limits", "--budget", "nan"), "--budget: 'nan' is neither a number from 0"),
        (("limits", "--budget", "inf"), "--budget: 'inf' is neither a number from 0"),
        (("limits", "--min", "3", "--max", "1"), "--min 3 is more than --max 1"),
        (("pause", "--max", "1"), "work only with `workmanager scaler limits`"),
        (("-n", "2"), "-n works only with `workmanager scaler log`"),
        (("pause", "--lines", "2"), "-n works only with `workmanager scaler log`"),
        (("log", "-n", "0"), "'0' is not a whole number from 1"),
        (("sleep",), "invalid choice"),
    ],
)
def test_wrong_scaler_arguments_are_refused(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, _, errors = run("scaler", *arguments)
    assert code == 2
    assert message in errors


def test_status_shows_its_queues_as_a_table(run: Run) -> None:
    queues = {
        name: {"name": name, "queued": queued, "started": 1, "oldest_seconds": None}
        for name, queued in (("default", 12), ("reports", 3))
    }
    shards = {"total": 6, "unavailable": 0}
    status = {"Jobs": 17, "Workers": 2, "queues": queues, "shards": shards, "problems": ["a module is unreadable"]}
    lonely = {"Jobs": 0, "Workers": 0, "queues": {}, "shards": {"total": 6, "unavailable": 2}}
    with ScriptedManager(Answer(status), Answer(lonely)) as manager:
        shown = run("status", "--url", manager.url)[1].splitlines()
        assert run("status", "--url", manager.url)[1].splitlines() == [
            "Jobs:               0",
            "Workers:            0",
            "shards unavailable: 2 of 6",
        ]
    assert shown == [
        "Jobs:    17",
        "Workers: 2",
        "problem: a module is unreadable",
        "",
        "queue    queued  started  oldest_seconds",
        "default  12      1",
        "reports  3       1",
    ]


def test_ids_that_waited_for_no_acknowledgement_are_told(run: Run) -> None:
    answers = [Answer({"acknowledged": 1}), Answer({"id": "a"}), Answer({"title": "no"}, 404), Answer({"id": "c"})]
    with ScriptedManager(*answers, Answer({"acknowledged": 1})) as manager:
        code, output, errors = run("ack", "a", "wrong", "c", "--url", manager.url)
        assert (code, output) == (1, "")
        assert errors == (
            "workmanager: 2 of 3 results did not wait for an acknowledgement; there is no job wrong;"
            " 1 acknowledged before, or not pulled with a lease\n"
        )
        assert run("ack", "a", "a", "--url", manager.url) == (0, "", "")


def test_why_a_job_does_not_run_is_said_in_one_sentence(run: Run) -> None:
    answer = {"id": "a", "status": "queued", "reason": "queue_paused", "sentence": "Queue 'q' is paused.", "ahead": 3}
    with ScriptedManager(Answer(answer)) as manager:
        assert run("explain", "a", "--url", manager.url) == (0, "Queue 'q' is paused.\n", "")
        assert json.loads(run("explain", "a", "--json", "--url", manager.url)[1]) == answer
    assert manager.requests[0].path == "/jobs/a/explain"


def test_jobs_are_listed_by_their_label(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedManager(Answer({"jobs": [], "cursor": None, "incomplete": "there were more"})) as manager:
        code, _, _ = run("jobs", "--label", "order=4=2", "--url", manager.url)
    assert (code, manager.requests[0].params["label"]) == (0, "order:4=2")
    assert [record.message for record in caplog.records if record.name == "workmanager.client"] == ["there were more"]


OPERATION = {
    "id": "o",
    "action": "requeue",
    "filter": {"label": "order:42"},
    "status": "running",
    "matched": 3,
    "changed": 2,
    "refused": 1,
    "created_at": "T1",
    "ended_at": None,
}


@pytest.mark.parametrize("waiting", [["--dry-run"], ["--dry-run", "--wait"], ["--wait"]])
def test_an_operation_is_started_and_waited_for(waiting: list[str], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workmanager.commands.operations.POLL_SECONDS", 0)
    ended = {**OPERATION, "status": "finished", "ended_at": "T2"}
    with ScriptedManager(Answer(OPERATION, 201), Answer(OPERATION), Answer(ended)) as manager:
        code, output, _ = run(
            *("operations", "start", "requeue", "--label", "order=42", *waiting, "--json"),
            *("--url", manager.url),
        )
    assert (code, json.loads(output)) == (0, ended)
    body = json.loads(manager.requests[0].body)
    assert body == {
        "action": "requeue",
        "filter": {"label": "order:42"},
        "dry_run": "--dry-run" in waiting,
        "id": body["id"],
    }
    assert [request.path for request in manager.requests] == ["/operations", "/operations/o", "/operations/o"]


def test_operations_are_listed_shown_and_canceled(run: Run) -> None:
    with ScriptedManager(Answer({"operations": [OPERATION]}), Answer(OPERATION)) as manager:
        listed = run("operations", "list", "--url", manager.url)[1].splitlines()
        assert listed[1].split() == ["o", "requeue", "label=order:42", "running", "3", "2", "1", "T1"]
        assert "status:" in run("operations", "show", "o", "--url", manager.url)[1]
        assert run("operations", "cancel", "o", "--url", manager.url)[0] == 0
    assert [(each.method, each.path) for each in manager.requests] == [
        ("GET", "/operations"),
        ("GET", "/operations/o"),
        ("POST", "/operations/o/cancel"),
    ]


def test_an_operation_says_which_jobs(run: Run) -> None:
    with ScriptedManager() as manager:
        code, _, errors = run("operations", "start", "delete", "--url", manager.url)
    assert (code, manager.requests) == (2, [])
    assert "give at least one of --status, --queue, --function, --label, --reason" in errors
