"""`workmanager submit`: the jobs that it sends, what it prints, and its exit codes."""

import inspect
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jobqueue.functions import BUILT_IN
from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import LOST, Answer, ScriptedManager
from worker_node import functions
from workmanager.commands.arguments import CommandParser
from workmanager.commands.job_options import add_job_options, job_options
from workmanager.errors import UsageError

ROOT = Path(__file__).parents[4]
EXPLANATION = Answer({"status": "scheduled", "reason": "delayed", "sentence": "The job is not due before noon."})
ACCEPTED = Answer({"id": "abc", "status": "queued"}, 201)


@pytest.fixture
def tells_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--wait` tells at once what keeps a job from running."""
    monkeypatch.setattr("workmanager.commands.wait_for_jobs.FIRST_HINT_SECONDS", 0)
    monkeypatch.setattr("workmanager.commands.wait_for_jobs.MAX_WAIT_SECONDS", 0)


def _waited(**statuses: str | None) -> Answer:
    """Return the answer of `POST /jobs/wait`."""
    ended = {None, "finished", "failed", "stopped", "canceled"}
    return Answer({"done": any(status in ended for status in statuses.values()), "statuses": statuses})


def _lines(*answers: object) -> Answer:
    return Answer("".join(json.dumps(answer) + "\n" for answer in answers))


def test_submitted_files_are_printed_with_their_ids(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"\0\1")
    with ScriptedManager(Answer({"Work ID": "abc"})) as manager:
        assert run("submit", str(path), "--iterations", "5", "--url", manager.url) == (0, f"abc  {path}\n", "")
        assert run("submit", str(path), "--json", "--url", manager.url)[1] == f'{{"id":"abc","source":"{path}"}}\n'
    assert manager.requests[0].body == b"\0\1"
    assert manager.requests[0].params["iterations"] == "5"


def test_a_file_can_be_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\0piped")))
    with ScriptedManager(Answer({"Work ID": "abc"})) as manager:
        assert run("submit", "-", "--url", manager.url) == (0, "abc  -\n", "")
    assert manager.requests[0].body == b"\0piped"


def test_standard_input_is_one_file(run: Run) -> None:
    """The second would be empty."""
    with ScriptedManager() as manager:
        code, output, errors = run("submit", "-", "-", "--url", manager.url)
    assert (code, output, manager.requests) == (2, "", [])
    assert errors.startswith("workmanager: - is standard input, which can be read once")


@pytest.mark.usefixtures("tells_at_once")
@pytest.mark.parametrize(("status", "exit_code"), [("finished", 0), ("failed", 1)])
def test_submit_can_wait_for_the_end_and_reports_it_by_its_exit_code(run: Run, status: str, exit_code: int) -> None:
    answers = [
        Answer({"id": "abc", "status": "queued"}, 201),
        _waited(abc="started"),
        Answer({"id": "abc", "status": "started"}),
        _waited(abc=status),
        Answer({"id": "abc", "status": status, "result": 7}),
    ]
    with ScriptedManager(*answers) as manager:
        code, output, _ = run(
            "submit", "--function", "noop", "--kwargs", '{"n": 1}', "--wait", "--json", "--url", manager.url
        )
    assert code == exit_code
    assert [json.loads(line) for line in output.splitlines()] == [
        {"id": "abc", "source": "noop"},
        {"id": "abc", "status": status, "result": 7},
    ]
    sent = json.loads(manager.requests[0].body)
    assert (sent["function"], sent["kwargs"]) == ("noop", {"n": 1})


@pytest.mark.usefixtures("tells_at_once")
def test_submit_tells_once_what_keeps_a_job_from_running(run: Run) -> None:
    status = Answer({"problems": ["managers refuse jobs of a module: no"]})
    waiting = [_waited(abc="queued"), EXPLANATION, status]
    ended = [_waited(abc="finished"), Answer({"id": "abc", "status": "finished"})]
    answers = [Answer({"id": "abc"}, 201), *waiting, *waiting, *ended]
    with ScriptedManager(*answers) as manager:
        code, _, errors = run("submit", "--function", "noop", "--wait", "--url", manager.url)
    assert code == 0
    assert errors.splitlines() == [
        "waiting: job abc: The job is not due before noon.",
        "waiting: managers refuse jobs of a module: no",
    ]
    assert json.loads(manager.requests[1].body) == {"ids": ["abc"], "any": True, "timeout": 0}


@pytest.mark.usefixtures("tells_at_once")
def test_hints_that_cannot_be_read_keep_nothing_from_being_waited_for(run: Run) -> None:
    answers = [
        _waited(abc="queued"),
        Answer({}, 500),
        _waited(abc="finished"),
        Answer({"id": "abc", "status": "finished"}),
    ]
    with ScriptedManager(Answer({"id": "abc"}, 201), *answers) as manager:
        code, _, errors = run("submit", "--function", "noop", "--wait", "--url", manager.url)
    assert (code, errors) == (0, "")


@pytest.fixture(scope="module")
def submission_schema() -> dict[str, Any]:
    """The documented body of `POST /jobs`."""
    schemas = json.loads((ROOT / "openapi.json").read_text())["components"]["schemas"]
    properties: dict[str, Any] = schemas["Submission"]["properties"]
    properties["retry"] = schemas["RetryPolicy"]["properties"]
    properties["unique"] = schemas["UniqueKey"]["properties"]
    return properties


def test_every_field_of_a_job_can_be_given(run: Run, submission_schema: dict[str, Any], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"\xff")
    common = (str(data), "--function", "images.thumbnail", "--args", "[1]", "--kwargs", '{"n": 1}', "--queue", "q")
    common += ("--lifo", "--timeout", "60", "--retry", "3", "--retry-intervals", "1,10", "--result-ttl", "0")
    common += ("--no-feed", "--meta", '{"m": 1}', "--isolation", "job", "--label", "a=b=c", "--label", "d=1")
    common += ("--callback-url", "https://example.com/")
    common += ("--callback-events", "failed,stopped", "--callback-result")
    with ScriptedManager(ACCEPTED) as manager:
        assert run("submit", *common, "--at", "2030-01-31 08:00+01:00", "--id", "i", "--url", manager.url)[0] == 0
        assert run("submit", *common, "--delay", "0.5", "--unique", "u", "--within", "60", "--url", manager.url)[0] == 0
        waits = ("--depends-on", "p", "--depends-on", "q:ended", "--limit", "t:1=5", "--limit", "api=100/1m")
        waits += ("--fair-key", "me")
        assert run("submit", "--function", "noop", *waits, "-q", "--url", manager.url) == (0, "abc\n", "")
    one, other, child = (json.loads(request.body) for request in manager.requests)
    sent: dict[str, Any] = {
        "function": "images.thumbnail",
        "data": "/w==",
        "args": [1],
        "kwargs": {"n": 1},
        "queue": "q",
        "order": "lifo",
        "timeout": 60,
        "retry": {"max": 3, "intervals": [1, 10]},
        "result_ttl": 0,
        "feed": False,
        "meta": {"m": 1},
        "isolation": "job",
        "labels": {"a": "b=c", "d": "1"},
        "callback": {"url": "https://example.com/", "events": ["failed", "stopped"], "include": ["result"]},
    }
    assert one == {**sent, "at": "2030-01-31T08:00:00+01:00", "id": "i"}
    assert other == {**sent, "delay": 0.5, "unique": {"key": "u", "within": 60}}
    assert child["depends_on"] == [{"id": "p", "when": "finished"}, {"id": "q", "when": "ended"}]
    assert child["limits"] == [{"key": "t:1", "concurrency": 5}, {"key": "api", "rate": "100/1m"}]
    # `callback_url` is short for `callback`.
    assert {*one, *other, *child, "callback_url"} == submission_schema.keys()


def _is_accepted(*arguments: str) -> bool:
    parser = CommandParser()
    add_job_options(parser)
    try:
        job_options(parser.parse_args(arguments))
    except UsageError:
        return False
    return True


def test_the_command_line_accepts_what_a_manager_accepts(submission_schema: dict[str, Any]) -> None:
    retry, unique = submission_schema["retry"], submission_schema["unique"]
    delay = submission_schema["delay"]["anyOf"][0]
    bounds: dict[tuple[str, ...], dict[str, int]] = {
        ("--timeout",): submission_schema["timeout"]["anyOf"][0],
        ("--result-ttl",): submission_schema["result_ttl"]["anyOf"][0],
        ("--delay",): delay,
        ("--retry",): retry["max"],
        ("--retry", "1", "--retry-intervals"): retry["intervals"]["anyOf"][0]["items"],
    }
    for options, bound in bounds.items():
        for value in (bound["minimum"], bound["maximum"]):
            assert _is_accepted(*options, str(value)), (options, value)
        for value in (bound["minimum"] - 1, bound["maximum"] + 1):
            assert not _is_accepted(*options, str(value)), (options, value)
    within = ("--unique", "k", "--within")
    assert unique["within"]["exclusiveMinimum"] == 0
    assert [_is_accepted(*within, text) for text in ("0", "0.001", str(unique["within"]["maximum"]))] == [
        *(False, True, True)
    ]
    for option in ("id", "queue"):
        pattern = submission_schema[option]["anyOf"][0]
        assert pattern["pattern"].endswith("{1,64}$")
        texts = ("a" * 64, "a" * 65, "", "a b", "Aa0_-", "Aa0_-.", "\u00e9", "a\n")
        expected = [True, False, False, False, True, "." in pattern["pattern"], False, False]
        assert [_is_accepted(f"--{option}", text) for text in texts] == expected, option


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give files, --function NAME or --batch FILE"),
        (("--function", "noop", "--kwargs", "[1]"), "'[1]' is not a JSON object"),
        (("--function", "noop", "--kwargs", '{"n": NaN}'), "is not a JSON object"),
        (("--function", "noop", "--meta", "[" * 100_000), "is not a JSON object"),
        (("--function", "noop", "--args", "{}"), "'{}' is not a JSON array"),
        (("--function", "noop", "--delay", "1", "--at", "2030-01-01T00:00:00Z"), "not allowed with argument"),
        (("--function", "noop", "--id", "a", "--unique", "k", "--within", "1"), "not allowed with argument"),
        (("--function", "noop", "--label", "order"), "does not have the form NAME=VALUE"),
        (("--function", "noop", "--label", "a=1", "--label", "a=2"), "give each --label once, and at most 8"),
        (("--function", "noop", "--delay", "soon"), "'soon' is not a number of seconds"),
        (("--function", "noop", "--delay", "nan"), "'nan' is not a number of seconds"),
        (("--function", "noop", "--at", "2030-01-01T00:00:00"), "is not a time with a time zone"),
        (("--function", "noop", "--at", "tomorrow"), "'tomorrow' is not a time with a time zone"),
        (("--function", "noop", "--retry", "-1"), "'-1' is not a whole number"),
        (("--function", "noop", "--retry", "1" * 5000), "is not a whole number"),
        (("--function", "noop", "--retry-intervals", "1"), "--retry-intervals works only with --retry"),
        (("--function", "noop", "--retry", "1", "--retry-intervals", "1,,2"), "'' is not a whole number"),
        (("--function", "noop", "--unique", "k"), "give both --unique KEY and --within SECONDS"),
        (("--function", "noop", "--within", "1"), "give both --unique KEY and --within SECONDS"),
        (("--function", "noop", "--unique", "", "--within", "1"), "a key has 1 to 256 characters"),
        (("--function", "noop", "--iterations", "2"), "--iterations is for files that sha512 hashes"),
        (("x", "--function", "noop", "--iterations", "2"), "--iterations is for files that sha512 hashes"),
        (("x", "y", "--id", "a"), "--id and --unique are for one job, and 2 files are given"),
        (("--batch", "-", "--queue", "high"), "with --batch, each line is a whole job"),
        (("--batch", "-", "--function", "noop"), "with --batch, each line is a whole job"),
        (("--batch", "-", "x"), "with --batch, each line is a whole job"),
        (("--function", "noop", "--kwargs", '{"n": 1e999}'), "cannot be written as JSON"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2_and_nothing_is_sent(
    run: Run, arguments: tuple[str, ...], message: str
) -> None:
    with ScriptedManager(ACCEPTED) as manager:
        code, output, errors = run("submit", *arguments, "--url", manager.url)
    assert (code, output, errors.count("\n"), manager.requests) == (2, "", 1, [])
    assert message in errors


def test_each_file_is_the_data_of_a_job_and_one_that_is_refused_stops_no_other(run: Run, tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("one", "missing", "large", "three")]
    for path in files[:1] + files[2:]:
        Path(path).write_bytes(b"\xff")
    large = Answer({"detail": "data: must not exceed 1 bytes"}, 413)
    with ScriptedManager(ACCEPTED, large, ACCEPTED) as manager:
        code, output, errors = run("submit", *files, "--function", "images.thumbnail", "--url", manager.url)
    assert (code, output) == (1, f"abc  {files[0]}\nabc  {files[3]}\n")
    assert errors == (
        f"workmanager: {files[1]}: No such file or directory\n"
        f"workmanager: {files[2]}: data: must not exceed 1 bytes (HTTP 413)\n"
    )
    assert [json.loads(request.body)["data"] for request in manager.requests] == ["/w=="] * 3


def test_files_are_hashed_with_every_option(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"\xff")
    with ScriptedManager(ACCEPTED) as manager:
        assert run("submit", str(path), "--iterations", "5", "--queue", "high", "--url", manager.url)[0] == 0
    sent = json.loads(manager.requests[0].body)
    assert (sent["function"], sent["data"], sent["queue"]) == ("sha512", "/w==", "high")
    assert sent["kwargs"] == {"iterations": 5}


def test_a_key_that_is_refused_is_told_once_for_all_files(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"")
    with ScriptedManager(Answer({"detail": "the key is unknown"}, 401)) as manager:
        code, _, errors = run("submit", str(path), str(path), "--url", manager.url)
    assert (code, errors.count("\n"), len(manager.requests)) == (4, 1, 1)
    assert errors.startswith("workmanager: the key is unknown (HTTP 401)")


BATCH = b"""{"function": "noop", "id": "a"}

not JSON
{"function": "nothing"}\r
[1]
{"function": "noop", "kwargs": {"n": NaN}}
{"function": "noop"}"""


def test_lines_are_answered_in_order_and_each_refused_one_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "jobs.ndjson"
    path.write_bytes(BATCH)
    refusal = {"error": {"status": 422, "detail": "function: 'nothing' is not registered"}}
    with ScriptedManager(_lines({"id": "a"}, refusal, {"id": "b"})) as manager:
        code, output, errors = run("submit", "--batch", str(path), "--url", manager.url)
        as_json = run("submit", "--batch", str(path), "--json", "--url", manager.url)
    assert (code, output) == (1, "a  line 1\nb  line 7\n")
    shown = errors.splitlines()
    assert [line.split(":")[:2] for line in shown] == [["workmanager", f" line {number}"] for number in (3, 4, 5, 6)]
    reasons = ("not JSON", "'nothing' is not registered", "not a JSON object", "cannot be written as JSON")
    for line, reason in zip(shown, reasons, strict=True):
        assert reason in line
    assert as_json[0::2] == (1, "")
    answers = [json.loads(line) for line in as_json[1].splitlines()]
    assert [(answer["line"], "id" in answer) for answer in answers] == [
        *((1, True), (3, False), (4, False), (5, False), (6, False), (7, True))
    ]
    assert answers[2]["error"] == refusal["error"]
    (request, _) = manager.requests
    assert (request.path, [json.loads(line)["function"] for line in request.body.splitlines()]) == (
        "/jobs/batch",
        ["noop", "nothing", "noop"],
    )


def test_lines_are_read_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"function":"noop"}\n' * 700)))
    with ScriptedManager(
        _lines(*({"id": str(n)} for n in range(500))), _lines(*({"id": str(n)} for n in range(500, 700)))
    ) as manager:
        code, output, _ = run("submit", "--batch", "-", "--url", manager.url)
    assert (code, output) == (0, "".join(f"{number}  line {number + 1}\n" for number in range(700)))


def test_waiting_for_lines_shows_each_ended_job(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "jobs.ndjson"
    path.write_bytes(b'{"function":"noop"}\n{"function":"noop"}\n')
    ended = [Answer({"id": name, "status": "finished", "result": 1}) for name in "ab"]
    waits = [_waited(a="started", b="finished"), ended[1], _waited(a="finished"), ended[0]]
    with ScriptedManager(_lines({"id": "a"}, {"id": "b"}), *waits) as manager:
        code, output, _ = run("submit", "--batch", str(path), "--wait", "--json", "--url", manager.url)
    assert code == 0
    assert [json.loads(line)["id"] for line in output.splitlines()] == ["a", "b", "b", "a"]
    assert json.loads(manager.requests[3].body)["ids"] == ["a"]


def test_jobs_are_waited_for_by_their_ids(run: Run) -> None:
    gone = Answer({"detail": "there is no job with the id 'b'"}, 404)
    answers = [_waited(a="finished", b=None), Answer({"id": "a", "status": "finished"}), gone]
    with ScriptedManager(*answers) as manager:
        code, output, errors = run("wait", "a", "b", "a", "--json", "--url", manager.url)
    assert (code, json.loads(output)["id"]) == (3, "a")
    assert errors == "workmanager: there is no job with the id 'b' (HTTP 404)\n"
    assert json.loads(manager.requests[0].body)["ids"] == ["a", "b"]


def test_a_wait_ends_with_its_timeout(run: Run) -> None:
    with ScriptedManager(replace(_waited(a="started", b="queued"), late_seconds=1)) as manager:
        code, _, errors = run("wait", "a", "b", "--timeout", "1", "--url", manager.url)
    assert (code, errors) == (1, "workmanager: 2 of 2 jobs have not ended within 1 s\n")


@pytest.mark.parametrize("failure", [LOST, Answer("", 500)])
def test_the_first_line_without_an_answer_is_named(
    run: Run, failure: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workmanager.commands.arguments.RETRY_SECONDS", 0.2)
    path = tmp_path / "jobs.ndjson"
    path.write_bytes(b'{"function":"noop"}\n' * 500 + b'nonsense\n{"function":"noop"}\n')
    with ScriptedManager(_lines(*[{"id": "a"}] * 500), failure) as manager:
        code, output, errors = run("submit", "--batch", str(path), "--url", manager.url)
    assert (code, output.count("\n")) == (5, 500)
    named, last = errors.splitlines()
    assert named.startswith("workmanager: line 501: not JSON")
    assert last.startswith("workmanager: no answer for line 502 and those after it: ")


@pytest.mark.parametrize("path", ["missing.ndjson", "."])
def test_an_unreadable_file_of_lines_is_named(run: Run, path: str) -> None:
    code, output, errors = run("submit", "--batch", path, "--url", "http://127.0.0.1:1")
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"workmanager: cannot read {path}: ")


def test_an_unreadable_file_is_named(run: Run, tmp_path: Path) -> None:
    code, _, errors = run("submit", str(tmp_path / "missing"))
    assert (code, errors) == (2, f"workmanager: {tmp_path / 'missing'}: No such file or directory\n")


def test_a_file_whose_name_is_no_text_is_submitted(run: Run, tmp_path: Path) -> None:
    path = f"{tmp_path}/\udcff"
    Path(path).write_bytes(b"")
    with ScriptedManager(Answer({"Work ID": "abc"})) as manager:
        assert run("submit", path, "--url", manager.url) == (0, f"abc  {tmp_path}/\ufffd\n", "")


def test_the_help_names_the_arguments_of_every_built_in_function(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("submit", "--help")
    shown = {words[0]: words[1:] for line in capsys.readouterr().out.splitlines() if (words := line.split())}
    for name in BUILT_IN:
        parameters = inspect.signature(getattr(functions, name)).parameters.values()
        named = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        documented = [word.strip(",") for word in shown[name] if not word.startswith("(") and word != "any"]
        if name == "sha512":
            assert [p.name for p in named] == ["data", "iterations"]
            assert documented[0] == "data"
            assert documented[-1] == "iterations"
        else:
            assert documented == [p.name if p.default is p.empty else f"[{p.name}]" for p in named], name
