"""Only tokens count that the issuer has signed, for this audience, and for now."""

import base64
import json
import warnings
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jws, jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, KeySet, OctKey, OKPKey, RSAKey

from manager.jwt.errors import IssuerUnavailable, TokenRefused, UnknownSigningKey
from manager.jwt.verification import LEEWAY_SECONDS, read_key_set, verify
from tests.token_issuer import AUDIENCE, sign

ISSUER = "https://id.example"
NOW = 1_900_000_000.5
KEY = ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})
RSA_KEY = RSAKey.generate_key(2048, {"kid": "r"})
KEYS = read_key_set(KeySet([KEY]).as_dict())


def token(key: Key = KEY, *, kid: str | None = None, algorithm: str = "ES256", **claims: Any) -> bytes:
    with warnings.catch_warnings():
        # joserfc prefers the name Ed25519 to EdDSA.
        warnings.simplefilter("ignore", SecurityWarning)
        return sign(key, ISSUER, claims, kid=kid, algorithm=algorithm, now=NOW).encode()


def check(text: bytes, keys: KeySet = KEYS, now: float = NOW) -> dict[str, Any]:
    return verify(text, keys, ISSUER, AUDIENCE, now)


def part(value: object) -> bytes:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=")


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        *((name, RSA_KEY) for name in ("RS256", "PS256", "RS512")),
        *(("ES256", KEY), ("ES384", ECKey.generate_key("P-384", {"kid": "e"}))),
        *((name, OKPKey.generate_key("Ed25519", {"kid": "o"})) for name in ("Ed25519", "EdDSA")),
    ],
)
def test_signatures_of_the_usual_algorithms_are_verified(algorithm: str, key: Key) -> None:
    keys = read_key_set(KeySet([key]).as_dict())
    text = token(key, algorithm=algorithm)
    assert check(text, keys)["sub"] == "alice"
    head, payload, signature = text.split(b".")
    with pytest.raises(TokenRefused):
        check(b".".join((head, payload[:-4] + b"AAAA", signature)), keys)


def test_a_token_that_is_changed_anywhere_is_refused() -> None:
    valid = token()
    assert check(valid)
    for position in range(len(valid)):
        changed = valid[:position] + (b"B" if valid[position : position + 1] == b"A" else b"A") + valid[position + 1 :]
        with pytest.raises(TokenRefused):
            check(changed)
        with pytest.raises(TokenRefused):
            check(valid[:position])


def test_a_key_of_somebody_else_signs_nothing() -> None:
    forger = ECKey.generate_key("P-256", {"kid": "forger"})
    with pytest.raises(TokenRefused, match="signature"):
        check(token(forger, kid="one"))
    with pytest.raises(UnknownSigningKey):
        check(token(forger))
    public = forger.as_dict(private=False)
    for extra in ({"jwk": public}, {"jku": "https://forger.example/keys"}, {"x5u": "https://forger.example/keys"}):
        for kid in ("one", "forger"):
            with pytest.raises(TokenRefused):
                check(_signed({"alg": "ES256", "kid": kid} | extra, forger, "ES256"))


def _signed(header: dict[str, Any], key: Key, algorithm: str) -> bytes:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": int(NOW) + 300}
    return jwt.encode(header, claims, key, algorithms=[algorithm]).encode()


@pytest.mark.parametrize("name", ["none", "None", "NONE", "", "HS256", "ES256K", ["ES256"], None, 1])
def test_no_other_algorithm_counts(name: object) -> None:
    payload = token().split(b".")[1]
    for signature in (b"", b"AAAA", token().split(b".")[2]):
        with pytest.raises(TokenRefused):
            check(b".".join((part({"alg": name, "kid": "one"}), payload, signature)))


def test_the_public_key_is_no_secret_to_sign_with() -> None:
    for key, keys in ((KEY, KEYS), (RSA_KEY, read_key_set(KeySet([RSA_KEY]).as_dict()))):
        # Not `import_key`, which takes no text for a secret that looks like a public key.
        secret = OctKey(key.as_pem(), key.as_pem(), {"kid": str(key.kid)})
        with pytest.raises(TokenRefused, match="algorithm"):
            check(_signed({"alg": "HS256", "kid": key.kid}, secret, "HS256"), keys)


def test_shared_secrets_keys_for_other_purposes_and_weak_keys_are_left_out() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key().public_numbers()
    number = lambda value: part(value.to_bytes(128, "big").lstrip(b"\0")).decode()  # noqa: E731
    useless: list[object] = [
        OctKey.generate_key(256, {"kid": "one"}).as_dict(),
        ECKey.generate_key("P-256", {"kid": "one", "use": "enc"}).as_dict(private=False),
        {"kty": "RSA", "kid": "one", "n": number(weak.n), "e": "AQAB"},
        {"kty": "EC", "kid": "one", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "kid": 1},
        {"kty": "AKP", "kid": "one"},
        {"kty": ["EC"], "kid": "one"},
        {},
        "one",
    ]
    with pytest.raises(IssuerUnavailable):
        read_key_set({"keys": useless})
    keys = read_key_set({"keys": [*useless, KEY.as_dict(private=False)]})
    assert [key.kid for key in keys] == ["one"]
    assert check(token(), keys)
    for document in ({}, {"keys": None}, {"keys": []}, {"keys": {}}):
        with pytest.raises(IssuerUnavailable):
            read_key_set(document)


@pytest.mark.parametrize(
    ("claims", "word"),
    [
        ({"aud": "other"}, "aud"),
        ({"aud": ["other", "jobs2"]}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": {"jobs": True}}, "aud"),
        ({"iss": "https://id.example/"}, "iss"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": None}, "iss"),
        ({"iss": [ISSUER]}, "iss"),
        ({"exp": None}, "exp"),
        ({"exp": str(int(NOW) + 300)}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": float("nan")}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"exp": int(NOW) - LEEWAY_SECONDS}, "expired"),
        ({"exp": 0}, "expired"),
        ({"nbf": int(NOW) + LEEWAY_SECONDS + 1}, "nbf"),
        ({"nbf": "soon"}, "nbf"),
        ({"iat": int(NOW) + LEEWAY_SECONDS + 1}, "iat"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "sub"),
    ],
)
def test_a_token_for_others_or_for_another_time_is_refused(claims: dict[str, Any], word: str) -> None:
    with pytest.raises(TokenRefused, match=word):
        check(token(**claims))


def test_clocks_may_differ_a_little() -> None:
    assert check(token(exp=int(NOW) - LEEWAY_SECONDS + 1))
    assert check(token(nbf=int(NOW) + LEEWAY_SECONDS))
    assert check(token(aud=["other", AUDIENCE]))
    assert check(token(exp=10**400))


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"..", b"...", b"a.b.c", b"\xff.\xff.\xff", b"=.=.=", b"A.A.A"),
        b".".join((part([]), part({}), b"AAAA")),
        b".".join((part(["alg"]), part({}), b"AAAA")),
        b".".join((part("alg"), part({}), b"AAAA")),
        b".".join((part({"alg": "ES256", "kid": {}}), part({}), b"AAAA")),
        b".".join((part({"alg": "ES256", "kid": "one", "crit": ["x"], "x": 1}), part({}), b"AAAA")),
        b".".join((part({"alg": "ES256", "kid": "one", "crit": [[]]}), part({}), b"AAAA")),
        b".".join((part({"alg": "ES256", "kid": "one", "b64": False}), part({}), b"AAAA")),
        b".".join((part(b'{"alg":' + b"[" * 1400), part({}), b"AAAA")),
        b".".join((part({"alg": "ES256", "kid": "x" * 4000}), part({}), b"AAAA")),
        b".".join((part(b'{"alg":' + b"9" * 1200 + b"}"), part({}), b"AAAA")),
    ],
)
def test_what_is_no_token_is_refused(text: bytes) -> None:
    with pytest.raises(TokenRefused):
        check(text)


@pytest.mark.parametrize("payload", [b"", b"[]", b"7", b"{", b"[" * 50_000, b'{"exp":' + b"9" * 5000 + b"}"])
def test_a_signed_text_that_holds_no_claims_is_refused(payload: bytes) -> None:
    text = jws.serialize_compact({"alg": "ES256", "kid": "one"}, payload, KEY, algorithms=["ES256"])
    with pytest.raises(TokenRefused):
        check(text.encode())


def test_a_token_may_leave_out_the_key_if_there_is_one() -> None:
    text = _signed({"alg": "ES256"}, KEY, "ES256")
    assert check(text)
    other = ECKey.generate_key("P-256", {"kid": "two"})
    with pytest.raises(UnknownSigningKey):
        check(text, read_key_set(KeySet([KEY, other]).as_dict()))
