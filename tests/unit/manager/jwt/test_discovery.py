"""An issuer's keys are fetched from where it says, and an answer that is wrong or too large is none."""

from collections.abc import Iterator

import pytest

from manager.jwt.discovery import fetch_published
from manager.jwt.errors import IssuerUnavailable
from manager.jwt.issuer import Issuer
from manager.jwt.issuer_call import MAX_DOCUMENT_BYTES
from manager.settings import ManagerSettings
from tests.token_issuer import AUDIENCE, DISCOVERY_PATH, KEYS_PATH, TokenIssuer


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with TokenIssuer() as issuer:
        yield issuer


def described(url: str) -> Issuer:
    found = Issuer.from_settings(ManagerSettings(oidc_issuer=url, oidc_audience=AUDIENCE))
    assert found is not None
    return found


async def test_the_keys_are_those_that_the_issuer_serves(issuer: TokenIssuer) -> None:
    keys = (await fetch_published(described(issuer.url))).keys
    assert [key.kid for key in keys] == [issuer.key.kid]
    assert issuer.requests == [DISCOVERY_PATH, KEYS_PATH]
    assert (await fetch_published(described(issuer.url))).keys == keys


async def test_an_answer_that_is_wrong_is_none(issuer: TokenIssuer) -> None:
    discovery, keys = issuer.documents[DISCOVERY_PATH], issuer.documents[KEYS_PATH]
    at = f"{issuer.url}{KEYS_PATH}"
    wrong: list[tuple[str, object, int, str]] = [
        (DISCOVERY_PATH, {}, 500, "status 500"),
        (DISCOVERY_PATH, b"<html>", 200, "JSON"),
        (DISCOVERY_PATH, b"[" * 100_000, 200, "JSON"),
        (DISCOVERY_PATH, [], 200, "JSON object"),
        (DISCOVERY_PATH, {"issuer": "https://other.example", "jwks_uri": at}, 200, "describes the issuer"),
        (DISCOVERY_PATH, {"issuer": issuer.url}, 200, "jwks_uri"),
        (DISCOVERY_PATH, {"issuer": issuer.url, "jwks_uri": "file:///etc/passwd"}, 200, "jwks_uri"),
        (DISCOVERY_PATH, {"issuer": issuer.url, "jwks_uri": 7}, 200, "jwks_uri"),
        (DISCOVERY_PATH, {"issuer": issuer.url, "jwks_uri": "http://[::"}, 200, "InvalidURL"),
        (DISCOVERY_PATH, {"issuer": issuer.url, "jwks_uri": at.replace("127.0.0.1", "127.0.0.2")}, 200, "not called"),
        (DISCOVERY_PATH, {"issuer": issuer.url, "jwks_uri": "http://169.254.169.254/keys"}, 200, "not called"),
        (DISCOVERY_PATH, b"", 302, "status 302"),
        (KEYS_PATH, {"keys": []}, 200, "no key"),
        (KEYS_PATH, b" " * (MAX_DOCUMENT_BYTES + 1), 200, "more than"),
    ]
    for path, document, status, word in wrong:
        issuer.documents |= {DISCOVERY_PATH: discovery, KEYS_PATH: keys}
        issuer.serve(path, document, status)
        with pytest.raises(IssuerUnavailable, match=word):
            await fetch_published(described(issuer.url))


async def test_an_issuer_that_is_away_is_unavailable(issuer: TokenIssuer) -> None:
    issuer.leave()
    with pytest.raises(IssuerUnavailable, match="ConnectError"):
        await fetch_published(described(issuer.url))


@pytest.mark.parametrize(
    "url",
    [
        *("id.example", "ftp://id.example", "https://", "https://id.example?a=b", "https://id.example#a"),
        *("https://user:word@id.example", "http://id.example", "http://10.0.0.1", "https://id.example:99999"),
        *("https://[::1", "https://0x7f.1"),
    ],
)
def test_an_issuer_that_cannot_be_one_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        described(url)


def test_issuers_have_paths_and_ports() -> None:
    assert described("https://id.example/realms/a/").discovery_url == (
        "https://id.example/realms/a/.well-known/openid-configuration"
    )
    for url in ("https://id.lan:8443", "http://[::1]:8080", "http://localhost:8080"):
        assert described(url).discovery_url.startswith(url)
    assert Issuer.from_settings(ManagerSettings()) is None
    assert described("https://id.example").may_be_at("https://keys.example/a")
    assert not described("https://id.example").may_be_at("http://id.example/keys")
