"""Log lines as JSON objects: `ts`, `level`, `logger`, `event`, the event's fields, and `text`.

The fields are read from the call's template, `event=job_failed job_id=%s reason=%s: text`, and its arguments, so that
no value is taken apart, and numbers are numbers. A value of several pieces (`event=%s_available`, `server=%s:%d`) is a
text.
"""

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

_PLACE = re.compile(r"%[-+#0]*\d*(?:\.\d+)?[a-zA-Z]")
_TOKEN = re.compile(rf"(?:(?P<key>\w+)=)?(?P<form>(?:%%|{_PLACE.pattern}|[^\s:]|:(?! ))+)|(?P<end>: )")
_PAIR = re.compile(r"(\w+)=(\S+)")
RESERVED = frozenset({"ts", "level", "logger", "exception"})


class _Field(NamedTuple):
    """`form`: how the value is written, with so many `places` for arguments."""

    key: str
    form: str
    places: int


class JsonFormatter(logging.Formatter):
    """Formats records as JSON, each on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "ts": iso_milliseconds(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        line |= fields_of(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def iso_milliseconds(at: float) -> str:
    """Return a Unix time as the `ts` of a line."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the event of a record and its fields; the whole message as `text` if it has no event."""
    template = record.msg if isinstance(record.msg, str) else ""
    if not template.startswith("event=") or isinstance(record.args, dict):
        return {"text": record.getMessage()}
    arguments = record.args or ()
    fields, text_at = _parsed(template)
    if sum(field.places for field in fields) + template[text_at:].replace("%%", "").count("%") != len(arguments):
        return {"text": record.getMessage()}
    values = iter(arguments)
    found: dict[str, Any] = {}
    for key, value in _values(fields, values):
        found[f"{key}_" if key in RESERVED else key] = value
    if template[text_at:]:
        found["text"] = template[text_at:] % tuple(values)
    return found


def _values(fields: tuple[_Field, ...], arguments: Iterator[object]) -> Iterator[tuple[str, Any]]:
    for key, form, places in fields:
        given = tuple(islice(arguments, places))
        if not key:
            yield from _pairs(form % given)
        elif not _PLACE.fullmatch(form):
            yield key, form % given
        elif form[-1] in "rs":
            yield key, given[0] if given[0] is None or isinstance(given[0], str | int | float) else form % given
        else:
            yield key, _number(form % given)


def _pairs(text: str) -> list[tuple[str, str]]:
    """Return the fields in a text such as `exit_code=1`; the text itself if it has others words, too."""
    pairs = _PAIR.findall(text)
    return pairs if " ".join(map("=".join, pairs)) == text else [("details", text)]


@lru_cache(1000)
def _parsed(template: str) -> tuple[tuple[_Field, ...], int]:
    """Return the fields of a template, and where its text begins."""
    fields: list[_Field] = []
    for match in _TOKEN.finditer(template):
        if match["end"]:
            return tuple(fields), match.end()
        places = len(_PLACE.findall(match["form"].replace("%%", "")))
        if match["key"] or places:
            fields.append(_Field(match["key"] or "", match["form"], places))
    return tuple(fields), len(template)


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
