"""The schema of docs/redis-keys.md, read from its tables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "redis-keys.md"


@dataclass(frozen=True)
class DocumentedKey:
    """A row: a key with placeholders such as `<id>`, its type, and for a record the fields it may have."""

    pattern: str
    type: str
    fields: frozenset[str] = field(default=frozenset())

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """Matches the keys that the row means, for the prefix `rq`; of ids and names, labels alone hold a colon."""
        plain = self.pattern.replace("<prefix>", "rq")
        return re.compile("".join(_expression_of(part) for part in _parts(plain)))


def read_schema() -> Mapping[str, DocumentedKey]:
    """Return every documented key by its pattern."""
    text = DOCUMENT.read_text()
    fields: dict[str, frozenset[str]] = {}
    for section in re.split(r"^#+ ", text, flags=re.MULTILINE):
        heading = re.match(r"Fields of `([^`]+)`", section)
        if heading:
            rows = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
            fields[heading[1]] = frozenset(name for row in rows for name in re.findall(r"`([^`]+)`", row))
    keys = re.findall(r"^\| `([^`]+)` \| (string|hash|list|set|sorted set|stream|any) \|", text, re.MULTILINE)
    return {pattern: DocumentedKey(pattern, type_, fields.get(pattern, frozenset())) for pattern, type_ in keys}


def _expression_of(part: str) -> str:
    if part == "<label>":
        return "[^:]+:[^:]+"
    return "[^:]+" if part.startswith("<") else re.escape(part)


def _parts(pattern: str) -> list[str]:
    return [part for part in re.split(r"(<[^>]+>)", pattern) if part]
