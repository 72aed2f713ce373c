"""Verify tokens with an issuer's keys: signature, algorithm, issuer, audience and times (RFC 7519, RFC 8725). Pure."""

import warnings
from collections.abc import Mapping
from typing import Any

from joserfc import jwk, jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    SecurityWarning,
    UnsupportedAlgorithmError,
)
from joserfc.jwa import JWSAlgModel
from joserfc.jws import JWSRegistry

from manager.jwt.errors import IssuerUnavailable, TokenRefused, UnknownSigningKey

ALGORITHMS = frozenset(
    {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
    }
)
"""Signatures with a private key that the issuer alone has. Not `none`, and not HMAC, whose key would be public."""
KEY_TYPES = frozenset({"RSA", "EC", "OKP"})
LEEWAY_SECONDS = 30
"""How far the issuer's clock and this machine's may differ."""


class _Registry(JWSRegistry):
    """joserfc's algorithms, limited to ours. Header parameters that nobody knows are ignored, as RFC 7515 asks."""

    max_header_length = 2048

    def __init__(self) -> None:
        super().__init__(strict_check_header=False)

    def get_alg(self, name: str) -> JWSAlgModel:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


_REGISTRY = _Registry()


def read_key_set(document: Mapping[str, Any]) -> jwk.KeySet:
    """Return the keys of a key set (RFC 7517) that can verify tokens.

    Raises:
        IssuerUnavailable: it has none.
    """
    entries = document.get("keys")
    found = [_read_key(entry) for entry in entries] if isinstance(entries, list) else []
    keys = [key for key in found if key is not None]
    if not keys:
        raise IssuerUnavailable("its key set has no key that can verify tokens")
    key_set = jwk.KeySet(keys)
    # In an order of their own, so that two answers with the same keys are equal.
    key_set.keys.sort(key=lambda key: str(key.kid))
    return key_set


def _read_key(entry: object) -> jwk.Key | None:
    """Return a key; None if it is of no use here, or cannot be read: the others still count."""
    with warnings.catch_warnings():
        # joserfc only warns about RSA keys of less than 2048 bits.
        warnings.simplefilter("error", SecurityWarning)
        try:
            if not isinstance(entry, dict) or entry["kty"] not in KEY_TYPES or entry.get("use", "sig") != "sig":
                return None
            return jwk.import_key(entry)
        except Exception:  # noqa: BLE001 - of any type, because the document comes from elsewhere
            return None


def verify(token: bytes, keys: jwk.KeySet, issuer_url: str, audience: str, now: float) -> dict[str, Any]:
    """Return the claims of a valid token. It has `iss`, `aud`, `exp` and `sub`.

    Args:
        now: Unix time.

    Raises:
        UnknownSigningKey: it names a key that is not among these.
        TokenRefused: it is not valid.
    """
    try:
        claims = jwt.decode(token, keys, registry=_REGISTRY).claims
        jwt.JWTClaimsRegistry(
            now=int(now),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer_url},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        ).validate(claims)
    except InvalidKeyIdError as error:
        raise UnknownSigningKey("its key (kid) is not one of the issuer's") from error
    except JoseError as error:
        raise TokenRefused(_reason(error)) from error
    except Exception as error:  # joserfc does not foresee everything that can stand in a token.
        raise TokenRefused("it cannot be read") from error
    return claims


def _reason(error: JoseError) -> str:
    match error:
        case ExpiredTokenError():
            return "it has expired"
        case ClaimError():
            return f"its claim {error.claim} is missing or not what it must be"
        case BadSignatureError():
            return "its signature is wrong"
        case UnsupportedAlgorithmError():
            return f"its algorithm is none of {', '.join(sorted(ALGORITHMS))}"
    return "it cannot be read"
