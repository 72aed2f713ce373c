"""People are signed in by the issuer for this attempt alone, and what is wrong with its answer is told."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from manager.jwt.code_flow import Attempt, CodeFlow
from manager.jwt.errors import IssuerUnavailable, SignInRefused
from manager.jwt.issuer import Issuer
from manager.jwt.verifier import JwtVerifier
from manager.settings import ManagerSettings
from tests.sign_in_issuer import AUTHORIZE_PATH, CLIENT_ID, CLIENT_SECRET, TOKEN_PATH, Person, SignInIssuer
from tests.token_issuer import AUDIENCE
from tests.waiting import until_async

REDIRECT_URL = "https://jobs.example/queue/dashboard/sign-in/callback"


@pytest.fixture
def issuer() -> Iterator[SignInIssuer]:
    with SignInIssuer() as issuer:
        yield issuer


@pytest.fixture
async def flow(issuer: SignInIssuer) -> AsyncIterator[CodeFlow]:
    settings = ManagerSettings(
        oidc_issuer=issuer.url,
        oidc_audience=AUDIENCE,
        oidc_client_id=CLIENT_ID,
        oidc_client_secret=CLIENT_SECRET,
        oidc_request_scopes="openid jobs:read",
    )
    described = Issuer.from_settings(settings)
    assert described is not None
    verifier = JwtVerifier(described)
    flow = CodeFlow(described, verifier)
    verifier.start()

    async def is_known() -> bool:
        return verifier.endpoints is not None

    await until_async(is_known)
    yield flow
    await flow.stop()
    await verifier.stop()


def visit(page: str) -> dict[str, str]:
    """Go to the issuer's page as a browser, and return the query with which it leads back."""
    location = httpx.get(page, verify=False).headers["location"]
    assert location.startswith(f"{REDIRECT_URL}?")
    return dict(httpx.QueryParams(urlsplit(location).query))


async def test_whom_the_issuer_signs_in_is_the_caller_of_their_token(flow: CodeFlow, issuer: SignInIssuer) -> None:
    attempt = Attempt.begin(REDIRECT_URL)
    page = flow.page_of(attempt)
    assert page.startswith(f"{issuer.url}{AUTHORIZE_PATH}?realm=jobs&")
    caller = await flow.finish(attempt, visit(page))
    assert (caller.key_id, caller.scopes, caller.queues) == ("sub:alice", {"jobs:read"}, ())
    assert caller.expires_at is not None
    assert (issuer.asked["scope"], issuer.asked["code_challenge_method"]) == ("openid jobs:read", "S256")
    assert attempt.verifier not in page
    assert attempt.secret not in page


async def test_a_code_is_of_use_once_and_for_its_attempt_alone(flow: CodeFlow) -> None:
    mine, theirs = Attempt.begin(REDIRECT_URL), Attempt.begin(REDIRECT_URL)
    brought = visit(flow.page_of(theirs))
    with pytest.raises(SignInRefused, match="belongs to another attempt"):
        await flow.finish(mine, brought)
    # Whoever has seen a code has no verifier.
    with pytest.raises(SignInRefused, match="invalid_grant, the code is not valid"):
        await flow.finish(mine, brought | {"state": mine.state})
    brought = visit(flow.page_of(mine))
    await flow.finish(mine, brought)
    with pytest.raises(SignInRefused, match="invalid_grant"):
        await flow.finish(mine, brought)


@pytest.mark.parametrize(
    ("person", "words"),
    [
        (Person(refuses=True), "has not signed you in: access_denied, <b>no</b>."),
        (Person(claims={"scope": "openid"}), "none of the scopes jobs:write, jobs:read"),
        (Person(claims={"aud": "other"}), "its claim aud"),
        (Person(claims={"sub": "bob"}), "name different people"),
        (Person(id_claims={"nonce": "of another attempt"}), "(its claim nonce)"),
        (Person(id_claims={"nonce": None}), "(its claim nonce)"),
        (Person(id_claims={"aud": AUDIENCE}), "its claim aud"),
        (Person(id_claims={"azp": "other"}), "(its claim azp)"),
        (Person(id_claims={"exp": 1}), "it has expired"),
        (Person(id_claims={"iss": "https://other.example"}), "its claim iss"),
    ],
)
async def test_what_is_not_accepted_is_told(flow: CodeFlow, issuer: SignInIssuer, person: Person, words: str) -> None:
    issuer.person = person
    attempt = Attempt.begin(REDIRECT_URL)
    with pytest.raises(SignInRefused, match=re.escape(words)):
        await flow.finish(attempt, visit(flow.page_of(attempt)))


async def test_an_answer_of_another_issuer_is_not_this_ones(flow: CodeFlow) -> None:
    attempt = Attempt.begin(REDIRECT_URL)
    with pytest.raises(SignInRefused, match="not from"):
        await flow.finish(attempt, visit(flow.page_of(attempt)) | {"iss": "https://other.example"})


async def test_a_client_names_itself_as_the_issuer_wants_it(issuer: SignInIssuer, flow: CodeFlow) -> None:
    attempt = Attempt.begin(REDIRECT_URL)
    issuer.methods = ["client_secret_post"]
    brought = visit(flow.page_of(attempt))
    with pytest.raises(SignInRefused, match="has given no token: invalid_client"):
        await flow.finish(attempt, brought)
    endpoints = flow._verifier.endpoints
    assert endpoints is not None
    flow._verifier.endpoints = replace(endpoints, takes_basic=False)
    assert (await flow.finish(attempt, brought)).key_id == "sub:alice"


async def test_an_issuer_that_is_away_is_unavailable(flow: CodeFlow, issuer: SignInIssuer) -> None:
    attempt = Attempt.begin(REDIRECT_URL)
    brought = visit(flow.page_of(attempt))
    issuer.leave()
    with pytest.raises(IssuerUnavailable, match=f"{TOKEN_PATH}: ConnectError"):
        await flow.finish(attempt, brought)
    flow._verifier.endpoints = None
    with pytest.raises(IssuerUnavailable, match="not told yet"):
        flow.page_of(attempt)


@pytest.mark.parametrize("answer", [{}, {"id_token": "a.b.c"}, {"id_token": 7, "access_token": []}])
async def test_an_answer_without_tokens_signs_nobody_in(
    flow: CodeFlow, issuer: SignInIssuer, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    monkeypatch.setattr(issuer, "_give_tokens", lambda *_: (200, answer))
    attempt = Attempt.begin(REDIRECT_URL)
    with pytest.raises(SignInRefused, match="no ID token, or no access token"):
        await flow.finish(attempt, visit(flow.page_of(attempt)))
