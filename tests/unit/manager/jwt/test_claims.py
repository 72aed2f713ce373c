"""What a verified token's claims allow."""

from typing import Any

import pytest

from manager.api_keys.caller import Caller
from manager.api_keys.record import SCOPES
from manager.jwt.claims import MAX_SUBJECT_CHARACTERS, caller_from, subject_id
from manager.jwt.errors import TokenRefused


def caller(scope_claim: str = "scope", queues_claim: str = "", **claims: Any) -> Caller:
    return caller_from({"sub": "alice", "exp": 1000} | claims, scope_claim, queues_claim, 30)


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        ("jobs:read", {"jobs:read"}),
        ("openid jobs:read  results:pull", {"jobs:read", "results:pull"}),
        (["jobs:write", "profile"], {"jobs:write"}),
        ("admin", set(SCOPES)),
        ("ADMIN jobs:*", set()),
        ("", set()),
        ([], set()),
    ],
)
def test_scopes_are_those_of_the_claim(scope: object, granted: set[str]) -> None:
    assert caller(scope=scope).scopes == granted
    assert caller("roles", roles=scope, scope="admin").scopes == granted
    assert caller(scope_claim="missing", scope=scope).scopes == set()


@pytest.mark.parametrize("value", [7, None, {"admin": True}, ["admin", 7], [["admin"]], True])
def test_a_claim_of_another_form_is_refused(value: object) -> None:
    with pytest.raises(TokenRefused, match="scope"):
        caller(scope=value)
    with pytest.raises(TokenRefused, match="queues"):
        caller(queues_claim="queues", queues=value)


def test_a_token_is_bound_to_the_queues_of_the_claim() -> None:
    bound = caller(queues_claim="queues", scope="jobs:read", queues=["reports-*", "mail"])
    assert [bound.sees(queue) for queue in ("reports-a", "mail", "secret")] == [True, True, False]
    assert caller(queues_claim="queues", scope="jobs:read", queues="mail reports-*").sees("mail")
    assert not caller(scope="jobs:read", queues=["mail"]).is_bound


def test_a_token_for_all_queues_says_so() -> None:
    assert not caller(queues_claim="queues", queues="*").is_bound
    for queues in ("", [], ["a b"], ["a\n"], ["a"] * 33):
        with pytest.raises(TokenRefused, match="must name 1 to 32 queues"):
            caller(queues_claim="queues", scope="admin", queues=queues)
    with pytest.raises(TokenRefused, match="must name 1 to 32 queues"):
        caller(queues_claim="queues", scope="admin")


def test_what_concerns_all_queues_is_not_for_a_bound_token() -> None:
    assert caller(queues_claim="q", q="mail", scope="admin").scopes == {"jobs:write", "jobs:read"}
    assert caller(queues_claim="q", q="mail", scope="results:pull").scopes == set()


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("alice", "sub:alice"),
        ("auth0|5f7c8ec7c33c6c004bbafe82", "sub:auth0|5f7c8ec7c33c6c004bbafe82"),
        ("a b\nevent=x", "sub:a%20b%0Aevent%3Dx"),
        ("é\x1b[31m", "sub:%C3%A9%1B%5B31m"),
        ("\ud800", "sub:%5Cud800"),
        ("x" * 1000, "sub:" + "x" * MAX_SUBJECT_CHARACTERS + "..."),
    ],
)
def test_a_subject_is_one_short_word_in_the_log(subject: str, shown: str) -> None:
    assert subject_id(subject) == shown
    assert caller(sub=subject).key_id == shown


def test_a_long_subject_of_odd_letters_is_short_too() -> None:
    assert len(subject_id("\N{GRINNING FACE}" * 1000)) <= MAX_SUBJECT_CHARACTERS + 7


def test_a_token_ends_with_the_leeway_after_its_expiry() -> None:
    assert not caller().is_expired(1029.9)
    assert caller().is_expired(1030)
    assert caller(exp=10**400).expires_at == 10**400 + 30
