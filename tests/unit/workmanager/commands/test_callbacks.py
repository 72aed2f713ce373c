"""`workmanager callbacks` and `workmanager listen`: the requests they send, and what they print."""

import json
from typing import Any

import pytest

from tests.unit.workmanager.commands.conftest import Run
from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager

ATTEMPT = {"at": "T1", "milliseconds": 12, "status": 500, "error": None, "answer": "out of\norder"}
CALLBACK: dict[str, Any] = {
    "id": "abc_1_failed",
    "job_id": "abc",
    "event": "failed",
    "event_at": "T0",
    "function": "noop",
    "queue": "default",
    "host": "example.com:443",
    "status": "dead",
    "tries": 1,
    "next_attempt_at": None,
    "last_attempt": ATTEMPT,
}


def test_callbacks_are_listed_page_by_page(run: Run) -> None:
    other = {**CALLBACK, "id": "other", "last_attempt": None}
    pages = [Answer({"callbacks": [CALLBACK], "cursor": "c"}), Answer({"callbacks": [other], "cursor": None})]
    options = ("--status", "dead", "--host", "example.com:443")
    with ScriptedManager(*pages) as manager:
        _, output, _ = run("callbacks", "list", *options, "--url", manager.url)
    assert [line.split() for line in output.splitlines()] == [
        ["ID", "EVENT", "HOST", "STATUS", "TRIES", "NEXT_ATTEMPT_AT", "LAST_ATTEMPT"],
        ["abc_1_failed", "failed", "example.com:443", "dead", "1", "500"],
        ["other", "failed", "example.com:443", "dead", "1"],
    ]
    first, second = (request.params for request in manager.requests)
    assert first == {"status": "dead", "host": "example.com:443", "limit": "100"}
    assert second == {**first, "cursor": "c"}


def test_no_more_callbacks_are_listed_than_asked_for(run: Run) -> None:
    with ScriptedManager(Answer({"callbacks": [CALLBACK], "cursor": "c"})) as manager:
        _, output, _ = run("callbacks", "list", "--limit", "1", "--json", "--url", manager.url)
    assert json.loads(output) == CALLBACK
    assert len(manager.requests) == 1


def test_a_callback_is_shown_with_its_attempts(run: Run) -> None:
    with ScriptedManager(Answer({**CALLBACK, "attempts": [ATTEMPT]})) as manager:
        _, output, _ = run("callbacks", "show", "abc_1_failed", "--url", manager.url)
    assert "attempts: T1  12 ms  500  out of order" in output.splitlines()


def test_callbacks_are_sent_again(run: Run) -> None:
    with ScriptedManager(Answer({**CALLBACK, "attempts": []}), Answer({"callbacks": 7})) as manager:
        assert run("callbacks", "retry", "abc_1_failed", "--url", manager.url)[0] == 0
        replay = ("callbacks", "replay", "--since", "2030-01-31T08:00:00Z", "--host", "example.com:443")
        assert run(*replay, "--json", "--url", manager.url)[1] == '{"callbacks":7}\n'
    retried, replayed = manager.requests
    assert retried.path == "/callbacks/abc_1_failed/retry"
    assert json.loads(replayed.body) == {"since": "2030-01-31T08:00:00+00:00", "host": "example.com:443"}


@pytest.mark.parametrize(
    "wrong", [("replay", "--since", "2030-01-31T08:00:00"), ("nonsense",), ("list", "--limit", "0")]
)
def test_what_cannot_be_is_a_usage_error(run: Run, wrong: tuple[str, ...]) -> None:
    assert run("callbacks", *wrong)[0] == 2


def heard(name: str) -> dict[str, Any]:
    return {"receipt": f"{name}.token", "headers": {"webhook-id": name}, "body": f'{{"data":"{name}"}}'}


def test_listen_prints_what_it_fetches_and_acknowledges_it(run: Run) -> None:
    answers = [Answer({"callbacks": []}), Answer({"callbacks": [heard("a")]}), Answer({"acknowledged": 1})]
    with ScriptedManager(*answers) as manager:
        _, output, _ = run("listen", "laptop", "--count", "1", "--url", manager.url)
    assert output == '{"data":"a"}\n'
    assert manager.requests[0].params == {"name": "laptop", "limit": "1", "wait": "40"}
    assert json.loads(manager.requests[2].body) == {"receipts": ["a.token"]}


def test_listen_forwards_to_a_url_of_any_letters(run: Run) -> None:
    fetched = Answer({"callbacks": [heard("a")]})
    with ScriptedManager(fetched, Answer({"acknowledged": 1})) as manager, ScriptedManager() as local:
        run("listen", "--forward", f"{local.url}/h\u00f6rer?f\u00fcr=%20", "--count", "1", "--url", manager.url)
    assert [(request.path, request.params) for request in local.requests] == [("/h%C3%B6rer", {"f\u00fcr": " "})]


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "http://", "http://[::1", "http://a..b/", "http://a/with a space"])
def test_listen_refuses_what_is_no_url(run: Run, url: str) -> None:
    code, _, errors = run("listen", "--forward", url)
    assert (code, errors) == (2, f"workmanager: {url!r} is not a URL such as http://127.0.0.1:8000/hook\n")


def test_listen_acknowledges_only_what_was_taken_where_it_forwards(run: Run) -> None:
    fetched = Answer({"callbacks": [heard("refused"), heard("taken")]})
    with (
        ScriptedManager(fetched, Answer({"acknowledged": 1})) as manager,
        ScriptedManager(Answer({}, 500), Answer({}, 204)) as local,
    ):
        _, output, _ = run("listen", "--forward", f"{local.url}/hook", "--count", "1", "--url", manager.url)
    assert output.splitlines() == ["500  refused", "204  taken"]
    assert [json.loads(request.body) for request in manager.requests[1:]] == [{"receipts": ["taken.token"]}]
    assert [(request.path, request.body) for request in local.requests] == [
        ("/hook", b'{"data":"refused"}'),
        ("/hook", b'{"data":"taken"}'),
    ]
