"""Secrets in what jobs tell and print: replaced before anything is stored or logged.

It works line by line, so that a secret of several lines, such as a private key, is not found.
"""

import re

REPLACEMENT = "[redacted]"
_NAMES = r"(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)"
_WORDS_IN_NAMES = ("passw", "passphrase", "secret", "token", "key")
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s,;&"']+)"""
_NAMED = re.compile(rf"""({_NAMES}["']?\s{{0,3}}[:=]\s{{0,3}}){_VALUE}""", re.IGNORECASE)
_AUTHORIZATION = re.compile(r"\b((?:bearer|basic)\s{1,3})[\w.~+/=-]{8,}", re.IGNORECASE)
_IN_URL = re.compile(r"(://[^\s/:@]{0,100}:)[^\s/@]{1,200}(?=@)")
_KNOWN = re.compile(
    r"\b(?:"
    r"wm_[0-9A-Za-z]+_[0-9A-Za-z]{16,}"  # This system's API keys.
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|gh[opsur]_[0-9A-Za-z]{30,}|github_pat_\w{30,}"
    r"|xox[abeprs]-[\w-]{10,}"
    r"|[rs]k_(?:live|test)_[0-9A-Za-z]{16,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"  # JSON web tokens.
    r")"
)


class Redaction:
    """Replaces what looks like a secret.

    Args:
        patterns: regular expressions of further secrets, separated by whitespace.

    Raises:
        ValueError: a pattern is no regular expression; the message says which one, by its number, and why.
    """

    def __init__(self, patterns: str = "") -> None:
        self._own = [_compiled(number, text) for number, text in enumerate(patterns.split(), 1)]

    def of_text(self, text: str) -> str:
        """Return a text without secrets."""
        lowered = text.lower()  # To look for words is quicker than these two expressions by far.
        if any(word in lowered for word in _WORDS_IN_NAMES):
            text = _NAMED.sub(rf"\1{REPLACEMENT}", text)
        if "bearer" in lowered or "basic" in lowered:
            text = _AUTHORIZATION.sub(rf"\1{REPLACEMENT}", text)
        text = _IN_URL.sub(rf"\1{REPLACEMENT}", text)
        text = _KNOWN.sub(REPLACEMENT, text)
        for pattern in self._own:
            text = pattern.sub(REPLACEMENT, text)
        return text

    def of_bytes(self, data: bytes) -> bytes:
        """Return output without secrets, whatever its encoding is."""
        text = data.decode("utf-8", "surrogateescape")
        redacted = self.of_text(text)
        return data if redacted == text else redacted.encode("utf-8", "surrogateescape")


def _compiled(number: int, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"pattern {number} is no regular expression: {error.msg}") from error
