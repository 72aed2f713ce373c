"""People sign in at an issuer, and their tokens' scopes and queues hold in the dashboard."""

import base64
from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.dashboard.pages import Page, Visitor
from tests.acceptance.http.browser import browser, is_installed
from tests.acceptance.http.conftest import Start
from tests.acceptance.manager.keyed_managers import OPERATOR, as_
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.sign_in_issuer import CLIENT_ID, CLIENT_SECRET, Person, SignInIssuer
from tests.token_issuer import AUDIENCE
from tests.waiting import until


@pytest.fixture(scope="module")
def _issuer() -> Iterator[SignInIssuer]:
    with SignInIssuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(_issuer: SignInIssuer) -> SignInIssuer:
    """An issuer at which alice is signed in, who may read jobs of all queues."""
    _issuer.person = Person(claims={"scope": "openid jobs:read", "queues": "*"})
    return _issuer


@pytest.fixture(scope="module")
def manager(start: Start, _issuer: SignInIssuer) -> ManagerProgram:
    """A manager at which people sign in through the issuer."""
    settings = {"OIDC_CLIENT_ID": CLIENT_ID, "OIDC_CLIENT_SECRET": CLIENT_SECRET, "OIDC_QUEUES_CLAIM": "queues"}
    program = start(API_KEYS=OPERATOR, OIDC_ISSUER=_issuer.url, OIDC_AUDIENCE=AUDIENCE, **settings)
    until(lambda: "event=issuer_keys_changed" in program.log, wanted="the issuer's keys")
    return program


@pytest.fixture
def visitor(manager: ManagerProgram, issuer: SignInIssuer) -> Iterator[Visitor]:
    """Somebody who has not signed in."""
    with manager.client() as client:
        yield Visitor(client)


@pytest.mark.parametrize(
    ("query", "content", "status"),
    [
        ("a&" * 30, "", 400),
        ("code=a&state=b", "[" * 2500, 403),
        ("code=a&state=b", '["\\ud800", "", ""]', 403),
        ("code=a&state=b", '["a", "\\ud800", ""]', 403),
        ("code=a&state=%ff", '["a", "b", "c"]', 403),
    ],
)
def test_whatever_a_browser_brings_back_it_is_refused(
    manager: ManagerProgram, query: str, content: str, status: int
) -> None:
    cookie = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")
    with manager.client() as client:
        address = f"/dashboard/sign-in/callback?{query}"
        assert client.get(address, headers={"Cookie": f"workmanager_sign_in={cookie}"}).status_code == status


def go_on(page: Page) -> str:
    """Return where a page leads by itself, which is where its link leads too."""
    _, _, rest = page.html.partition('<meta http-equiv="refresh" content="0; url=')
    (link,) = [href for text, href in page.links.items() if text.startswith("Go on to")]
    assert rest.partition('"')[0].replace("&amp;", "&") == link
    return link


def come_back(visitor: Visitor, page: str = "/") -> str:
    """Go to the issuer, and return the address that it sends the browser back to."""
    asked = visitor.open(page)
    there = go_on(visitor.send(asked.forms[0]))
    return httpx.get(there, verify=False).headers["location"]


def sign_in(visitor: Visitor, page: str = "/") -> Page:
    """Sign in at the issuer, and open the page that was asked for."""
    answered = visitor.open(come_back(visitor, page))
    return visitor.open(go_on(answered)) if answered.status == 200 else answered


def test_a_person_signs_in_at_the_issuer_and_out_again(
    visitor: Visitor, manager: ManagerProgram, issuer: SignInIssuer
) -> None:
    back = come_back(visitor, "/dashboard/queues?done=paused")
    assert back.startswith(f"{manager.url}/dashboard/sign-in/callback?")
    answer = visitor.client.get(back, headers={"Accept": "text/html"})
    attempt, session = answer.headers.get_list("set-cookie")
    assert {"Max-Age=0", "Path=/dashboard/sign-in"} <= set(attempt.split("; "))
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(session.split("; "))
    page = visitor.open(go_on(Page(answer)))
    assert "The queue is paused" in page.text  # the page that was asked for
    assert visitor.client.get("/jobs").status_code == 401  # not the API
    out = visitor.press(page, "Sign out sub:alice")
    assert out.form(f"Sign in at {issuer.url.removeprefix('http://')}")
    assert visitor.client.get("/").status_code == 401
    again = visitor.open(back)
    assert "over, or was begun in another browser" in again.text
    assert "event=issuer_sign_in key=sub:alice" in manager.log
    assert "code=" not in manager.log


def test_the_scopes_and_queues_of_the_token_hold(
    visitor: Visitor, manager: ManagerProgram, issuer: SignInIssuer
) -> None:
    with as_(manager, OPERATOR) as operator:
        for queue in ("reports-a", "secret"):
            operator.post("/jobs", json={"function": "noop", "queue": queue}).raise_for_status()
    issuer.person.claims |= {"queues": "reports-*"}
    page = sign_in(visitor, "/dashboard/queues")
    assert page.row("reports-a")
    assert "secret" not in page.html
    assert [form.label for form in page.forms if "queue" in form.label] == []
    refused = visitor.post("/dashboard/queues/reports-a/pause", {})
    assert refused.status_code == 403
    assert "token sub:alice lacks the scope admin" in refused.text


def test_an_administrator_changes_what_the_audit_stream_notes(
    visitor: Visitor, manager: ManagerProgram, issuer: SignInIssuer
) -> None:
    issuer.person = Person(claims={"scope": ["admin"], "queues": "*"})
    with as_(manager, OPERATOR) as operator:
        operator.post("/jobs", json={"function": "noop", "queue": "stopped"}).raise_for_status()
        assert "paused" in visitor.press(sign_in(visitor, "/dashboard/queues"), "Pause queue stopped").text
        (entry,) = operator.get("/audit?limit=1").json()["entries"]
    assert (entry["actor"], entry["target"]) == ("sub:alice", "stopped")


@pytest.mark.parametrize(
    ("person", "words"),
    [
        (Person(refuses=True), "has not signed you in: access_denied, &lt;b&gt;no&lt;/b&gt;."),
        (Person(claims={"scope": "openid", "queues": "*"}), "none of the scopes"),
        (Person(), "its claim queues must name"),
    ],
)
def test_who_is_not_let_in_is_told_why(visitor: Visitor, issuer: SignInIssuer, person: Person, words: str) -> None:
    issuer.person = person
    page = sign_in(visitor)
    assert page.status == 403
    assert words in page.html
    assert page.form("Sign in")  # with a key
    assert visitor.client.get("/").status_code == 401


def test_nobody_is_signed_in_by_a_page_of_another_site(visitor: Visitor, manager: ManagerProgram) -> None:
    back = come_back(visitor)  # of the attacker's browser
    with manager.client() as client:
        victim = Visitor(client)
        assert victim.open(back).status == 403
        come_back(victim)
        assert "another attempt" in victim.open(back).text
        assert victim.post("/dashboard/sign-in/issuer", {}, Sec_Fetch_Site="cross-site").status_code == 403
        assert client.get("/").status_code == 401


def test_an_issuer_that_is_away_is_told(visitor: Visitor, issuer: SignInIssuer) -> None:
    back = come_back(visitor)
    issuer.leave()
    try:
        page = visitor.open(back)
    finally:
        issuer.listen()
    assert page.status == 503
    assert "Nobody can sign in at 127.0.0.1:" in page.text


@pytest.mark.skipif(not is_installed(), reason="chromium and chromium-driver are not installed")
def test_a_browser_signs_in_across_sites(
    manager: ManagerProgram, issuer: SignInIssuer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # For a browser, localhost and 127.0.0.1, where the issuer is, are two sites.
    own = manager.url.replace("127.0.0.1", "localhost")
    issuer.person.is_asked = True
    with browser(tmp_path_factory.mktemp("browser")) as tab:
        tab.open(f"{own}/dashboard/queues")
        tab.run("document.querySelector('form.sign-in button').click()")
        tab.until("document.getElementById('agree')")
        tab.run("document.getElementById('agree').click()")
        tab.until("document.body.innerText.includes('Sign out sub:alice')")
        assert tab.run("return location.href") == f"{own}/dashboard/queues"
        assert tab.run("return document.cookie") == ""
        assert [each for each in tab.complaints() if issuer.url not in each] == []
