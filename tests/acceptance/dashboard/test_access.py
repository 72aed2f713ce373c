"""Who may see and do what: sessions, scopes, keys bound to queues, and pages of other sites."""

import re

import httpx
import pytest

from tests.acceptance.dashboard.pages import Visitor
from tests.acceptance.manager.keyed_managers import OPERATOR, as_, create
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.waiting import until


def session_of(visitor: Visitor) -> str:
    (cookie,) = visitor.client.cookies.jar
    return f"{cookie.name}={cookie.value}"


def test_a_person_signs_in_and_out(stranger: Visitor) -> None:
    asked = stranger.open("/dashboard/queues?done=paused")
    assert "Sign in" in asked.text
    assert asked.forms[0].fields["next"] == "/dashboard/queues?done=paused"
    wrong = stranger.send(asked.form("Sign in"), key="not-a-key-of-this-manager")
    assert wrong.status == 403
    assert "not a key" in wrong.text
    page = stranger.send(wrong.form("Sign in"), key=OPERATOR)
    assert "The queue is paused" in page.text  # the page that was asked for
    out = stranger.press(page, "Sign out env-1")
    assert out.form("Sign in")
    assert stranger.open("/").form("Sign in")


def test_the_cookie_is_out_of_reach_of_scripts_and_does_not_hold_the_key(stranger: Visitor) -> None:
    form = stranger.open("/").form("Sign in")
    answer = stranger.post(form.action, form.fields | {"key": OPERATOR})
    text = answer.headers["set-cookie"]
    assert OPERATOR not in text
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(text.split("; "))
    secure = stranger.post(form.action, form.fields | {"key": OPERATOR}, Origin="https://jobs.example")
    assert secure.headers["set-cookie"].endswith("; Secure")


def test_programs_without_a_key_are_refused_as_before(keyed: ManagerProgram) -> None:
    with keyed.client() as client:
        for path in ("/", "/dashboard/queues", "/dashboard/events?page=overview"):
            answer = client.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
    with as_(keyed, OPERATOR) as client:
        assert client.get("/").is_success


def test_a_session_opens_the_dashboard_and_not_the_api(stranger: Visitor) -> None:
    stranger.sign_in(OPERATOR)
    assert stranger.client.get("/jobs").status_code == 401
    assert stranger.client.put("/enqueue?iterations=1", content=b"x").status_code == 401


@pytest.mark.parametrize("change", [r"env-1\.", r"\.\d+\.", r".$"])
def test_a_session_that_was_changed_is_none(stranger: Visitor, change: str) -> None:
    stranger.sign_in(OPERATOR)
    session = session_of(stranger)
    changed = re.sub(change, {r"env-1\.": "env-2.", r"\.\d+\.": ".9999999999."}.get(change, "x"), session)
    with httpx.Client(base_url=stranger.client.base_url) as other:
        assert other.get("/", headers={"Cookie": session}).status_code == 200
        assert other.get("/", headers={"Cookie": changed}).status_code == 401


def test_a_session_ends_with_its_key_on_open_pages_too(keyed: ManagerProgram, stranger: Visitor) -> None:
    key = create(keyed, "jobs:read")
    assert "Overview" in stranger.sign_in(key["key"]).text
    with stranger.client.stream("GET", "/dashboard/events?page=overview") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: part"
        with as_(keyed, OPERATOR) as operator:
            operator.delete(f"/keys/{key['id']}").raise_for_status()
        assert "event: ended" in lines
    assert stranger.open("/").form("Sign in")


def test_a_session_ends_when_its_key_is_rolled(keyed: ManagerProgram, stranger: Visitor) -> None:
    key = create(keyed, "jobs:read")
    stranger.sign_in(key["key"])
    with as_(keyed, OPERATOR) as operator:
        operator.post(f"/keys/{key['id']}/roll", json={"overlap": 0}).raise_for_status()
    until(lambda: stranger.client.get("/").status_code == 401, wanted="the end of the session")


def test_buttons_that_a_key_may_not_press_are_not_shown_and_not_obeyed(
    keyed: ManagerProgram, stranger: Visitor
) -> None:
    with as_(keyed, OPERATOR) as operator:
        operator.post("/jobs", json={"function": "noop", "queue": "shown"}).raise_for_status()
    stranger.sign_in(create(keyed, "jobs:read", "jobs:write")["key"])
    page = stranger.open("/dashboard/queues")
    assert page.row("shown")
    assert [form.label for form in page.forms if "queue" in form.label] == []
    refused = stranger.post("/dashboard/queues/shown/pause", {})
    assert refused.status_code == 403
    assert "lacks the scope admin" in refused.text


def test_a_key_without_a_scope_sees_nothing(keyed: ManagerProgram, stranger: Visitor) -> None:
    page = stranger.sign_in(create(keyed, "jobs:write")["key"])
    assert page.status == 403
    assert "Waiting" not in page.text


def test_a_key_that_is_bound_to_queues_sees_those_alone(keyed: ManagerProgram, stranger: Visitor) -> None:
    with as_(keyed, OPERATOR) as operator:
        for queue in ("mine", "theirs", "theirs"):
            operator.post("/jobs", json={"function": "noop", "queue": queue}).raise_for_status()
    stranger.sign_in(create(keyed, "jobs:read", queues=["mine"])["key"])
    overview = stranger.open("/")
    assert "Waiting 1" in overview.text
    assert "per second" not in overview.text
    queues = stranger.open("/dashboard/queues")
    assert queues.row("mine")
    with stranger.client.stream("GET", "/dashboard/events?page=queues") as stream:
        first = next(line for line in stream.iter_lines() if line.startswith("data"))
    for text in (overview.html, queues.html, first):
        assert "theirs" not in text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},  # another port of the machine
        {"Sec_Fetch_Site": "none"},
    ],
)
def test_a_page_of_another_site_cannot_use_the_session(stranger: Visitor, headers: dict[str, str]) -> None:
    stranger.sign_in(OPERATOR)
    assert stranger.post("/dashboard/queues/x/pause", {}, **headers).status_code == 403
    without = {"Cookie": session_of(stranger), "Content-Type": "application/x-www-form-urlencoded"}
    for origin in ({}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "null"}):
        with httpx.Client(base_url=stranger.client.base_url) as other:
            assert other.post("/dashboard/queues/x/pause", headers=without | origin).status_code == 403
            assert other.post("/dashboard/sign-in", headers=without | origin).status_code == 403


@pytest.mark.parametrize(
    "next_page", ["//evil.example", "https://evil.example/", "/jobs", "/\\evil.example", "/dashboard/\r\nX: y"]
)
def test_signing_in_leads_to_a_page_of_the_dashboard_alone(stranger: Visitor, next_page: str) -> None:
    answer = stranger.post("/dashboard/sign-in", {"key": OPERATOR, "next": next_page})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
