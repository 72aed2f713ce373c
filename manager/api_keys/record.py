"""The record of an API key: scopes, queues, expiry, limits, and hashes of its secrets. Pure.

A key reads `wm_<id>_<secret>`. The id is public: it stands in lists and in the access log. The secret has 256 random
bits, so a plain SHA-256 is stored: there is nothing to guess that a slow hash would protect.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from manager.api_keys.limits import NO_LIMITS, KeyLimits

JOBS_WRITE, JOBS_READ, RESULTS_PULL, ADMIN = "jobs:write", "jobs:read", "results:pull", "admin"
SCOPES = (JOBS_WRITE, JOBS_READ, RESULTS_PULL, ADMIN)
"""What a key can be allowed to do. `admin` includes the others."""
UNBOUND_SCOPES = frozenset({ADMIN, RESULTS_PULL})
"""They concern all queues, so a key that is bound to some cannot have them."""
QUEUE_PATTERN = r"^[A-Za-z0-9_.*-]{1,64}$"
"""Of a queue that a key is bound to: its name; `*` stands for any text."""
MAX_QUEUES = 32
"""That a key can be bound to."""
MAX_SECRETS = 5
"""Secrets of one key that can be valid at a time: the newest, and those that were replaced and are in their overlap."""

_PREFIX = "wm_"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret of a key.

    Attributes:
        digest: its SHA-256, in hexadecimal.
        until: when it stops being valid (Unix time); None if it lasts as long as the key.
    """

    digest: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key. Times are Unix times, by Redis' clock.

    Attributes:
        id: public name of the key.
        scopes: what it may do.
        queues: names or patterns (`reports-*`) of the queues that it is bound to; empty if it is not bound.
        created_by: id of the key that created it.
        expires_at: None if it does not expire.
        secrets: the newest first.
        limits: of its requests and jobs.
    """

    id: str
    scopes: tuple[str, ...]
    queues: tuple[str, ...]
    created_at: float
    created_by: str
    expires_at: float | None
    secrets: tuple[Secret, ...]
    limits: KeyLimits = NO_LIMITS

    def to_json(self) -> str:
        """Return the record as it is stored."""
        return json.dumps(
            {
                "scopes": self.scopes,
                "queues": self.queues,
                "created_at": self.created_at,
                "created_by": self.created_by,
                "expires_at": self.expires_at,
                "secrets": [{"sha256": secret.digest, "until": secret.until} for secret in self.secrets],
            }
            | ({"limits": self.limits.given()} if self.limits.are_set else {})
        )

    @classmethod
    def from_json(cls, key_id: str, text: bytes | str) -> "KeyRecord":
        """Parse a stored record.

        Raises:
            ValueError: it is none.
        """
        try:
            value = json.loads(text)
            return cls(
                id=key_id,
                scopes=_texts(value["scopes"]),
                queues=_texts(value["queues"]),
                created_at=float(value["created_at"]),
                created_by=str(value["created_by"]),
                expires_at=_time(value["expires_at"]),
                secrets=tuple(Secret(str(each["sha256"]), _time(each["until"])) for each in value["secrets"]),
                limits=KeyLimits.from_stored(value.get("limits", {})),
            )
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"the record of API key {key_id!r} cannot be read") from error

    def is_expired(self, now: float) -> bool:
        """Return whether the key is over."""
        return self.expires_at is not None and self.expires_at <= now

    def valid_digests(self, now: float) -> tuple[str, ...]:
        """Return the digests of the secrets that are valid."""
        if self.is_expired(now):
            return ()
        return tuple(secret.digest for secret in self.valid_secrets(now))

    def roll(self, overlap_seconds: float, now: float) -> tuple["KeyRecord", str]:
        """Return the key with a new secret, and its text. The secrets before it are valid for the overlap."""
        text, digest = _new_text(self.id)
        end = now + overlap_seconds
        earlier = [
            Secret(secret.digest, end if secret.until is None else min(secret.until, end))
            for secret in self.valid_secrets(now)
        ]
        kept = [secret for secret in earlier if secret.until is None or secret.until > now]
        return replace(self, secrets=(Secret(digest), *kept[: MAX_SECRETS - 1])), text

    def valid_secrets(self, now: float) -> list[Secret]:
        """Return the secrets that are valid as long as the key is, the newest first."""
        return [secret for secret in self.secrets if secret.until is None or secret.until > now]


def new_key(
    scopes: Sequence[str],
    queues: Sequence[str],
    created_by: str,
    expires_seconds: float | None,
    now: float,
    limits: KeyLimits = NO_LIMITS,
) -> tuple[KeyRecord, str]:
    """Return a new key's record, and its text, which is shown once and never stored."""
    key_id = secrets.token_hex(4)
    text, digest = _new_text(key_id)
    expires_at = None if expires_seconds is None else now + expires_seconds
    record = KeyRecord(key_id, tuple(scopes), tuple(queues), now, created_by, expires_at, (Secret(digest),), limits)
    return record, text


def id_of(text: bytes) -> str | None:
    """Return the id that a key's text names; None if it has not the form of one."""
    prefix, _, rest = text.partition(b"_")
    key_id, separator, secret = rest.partition(b"_")
    if prefix != b"wm" or not separator or not secret or not key_id.isalnum():
        return None
    return key_id.decode("ascii")


def digest_of(text: bytes) -> str:
    """Return the SHA-256 of a key's text."""
    return hashlib.sha256(text).hexdigest()


def matches(digest: str, valid: Sequence[str]) -> bool:
    """Return whether a digest is among the valid ones, in a time that does not depend on where they differ."""
    found = False
    for each in valid:
        found |= hmac.compare_digest(digest, each)
    return found


def _new_text(key_id: str) -> tuple[str, str]:
    text = f"{_PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
    return text, digest_of(text.encode())


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError("a list of texts is expected")
    return tuple(value)


def _time(value: float | None) -> float | None:
    return None if value is None else float(value)
