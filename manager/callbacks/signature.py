"""Sign callbacks as Standard Webhooks has it: HMAC-SHA256 of id, time and body, once with each valid secret."""

import hmac
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Sequence
from hashlib import sha256

SECRET_PREFIX = "whsec_"
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
MAX_SECRETS = 5


def parse_secrets(texts: Sequence[str]) -> tuple[bytes, ...]:
    """Return the keys of secrets such as `whsec_…`, in the same order.

    Raises:
        ValueError: one of them is none; the message says which, without its text.
    """
    if len(texts) > MAX_SECRETS:
        raise ValueError(f"at most {MAX_SECRETS} secrets can be valid at a time")
    return tuple(_parse_secret(text, number) for number, text in enumerate(texts, 1))


def headers(callback_id: str, secrets: Sequence[bytes], timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of a callback that is sent at this time, in seconds; without secrets it is not signed."""
    sent = {"Content-Type": "application/json", "webhook-id": callback_id, "webhook-timestamp": str(timestamp)}
    return sent | {"webhook-signature": sign(secrets, callback_id, timestamp, body)} if secrets else sent


def sign(secrets: Sequence[bytes], callback_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature`: one signature for each secret.

    Args:
        timestamp: of the attempt, in seconds.
    """
    signed = b"%b.%d.%b" % (callback_id.encode(), timestamp, body)
    return " ".join(f"v1,{b64encode(hmac.digest(secret, signed, sha256)).decode()}" for secret in secrets)


def _parse_secret(text: str, number: int) -> bytes:
    problem = f"secret {number} must be {SECRET_PREFIX} and {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64"
    try:
        secret = b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except Error:
        raise ValueError(problem) from None
    if not text.startswith(SECRET_PREFIX) or not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        raise ValueError(problem)
    return secret
