"""Who sends a request with a token: what the claims of a verified token say. Pure."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from manager.api_keys.caller import Caller
from manager.api_keys.record import ADMIN, MAX_QUEUES, QUEUE_PATTERN, SCOPES, UNBOUND_SCOPES
from manager.jwt.errors import TokenRefused

MAX_SUBJECT_CHARACTERS = 80
SUBJECT_PREFIX = "sub:"
"""No API key's id begins with it."""
ALL_QUEUES = "*"

_PLAIN = "@|/:+,-._~"
"""Characters of a subject that logs show as they are, beside letters and digits."""


def caller_from(claims: Mapping[str, Any], scope_claim: str, queues_claim: str, leeway_seconds: float) -> Caller:
    """Return the caller that a verified token stands for.

    Args:
        scope_claim: the claim with its scopes. Others than ours are ignored; without any it may do nothing.
        queues_claim: the claim with its queues, which it must have then; '' if tokens are not bound to queues.

    Raises:
        TokenRefused: a claim has another form than it must have.
    """
    scopes = frozenset(_words(claims, scope_claim)) & frozenset(SCOPES)
    queues = _queues(claims, queues_claim) if queues_claim else ()
    if queues:
        scopes = frozenset(SCOPES if ADMIN in scopes else scopes) - UNBOUND_SCOPES
    expires_at = claims["exp"] + leeway_seconds
    return Caller.of(subject_id(claims["sub"]), scopes, queues, expires_at=expires_at)


def subject_id(subject: str) -> str:
    """Return a subject as logs show it: on one line, without spaces, of limited length."""
    text = quote(subject[:MAX_SUBJECT_CHARACTERS], safe=_PLAIN, errors="backslashreplace")
    is_cut = len(subject) > MAX_SUBJECT_CHARACTERS or len(text) > MAX_SUBJECT_CHARACTERS
    return f"{SUBJECT_PREFIX}{text[:MAX_SUBJECT_CHARACTERS]}{'...' if is_cut else ''}"


def _queues(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the queues that a token is bound to; none if it is bound to all of them.

    A token without queues is refused: taken as one that is not bound, it would see everything.
    """
    queues = _words(claims, name)
    if ALL_QUEUES in queues:
        return ()
    if not 1 <= len(queues) <= MAX_QUEUES or not all(re.fullmatch(QUEUE_PATTERN, queue) for queue in queues):
        raise TokenRefused(f"its claim {name} must name 1 to {MAX_QUEUES} queues, or {ALL_QUEUES}")
    return queues


def _words(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a claim that is a list of texts, or one text with spaces between them (RFC 8693, section 4.2)."""
    value = claims.get(name, ())
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise TokenRefused(f"its claim {name} must be a text or a list of texts")
