"""Types of JSON values in request bodies, with their validation and their description in the OpenAPI document."""

import binascii
import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticUseDefault

QUEUE_PATTERN = "[A-Za-z0-9_.-]{1,64}"
BASE64_PATTERN = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
DAY_SECONDS = 24 * 3600
YEAR_SECONDS = 365 * DAY_SECONDS

_NO_SEGMENTS = (".", "..")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY_SECONDS}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)


def parse_instant(text: str) -> float:
    """Return the Unix time of an RFC 3339 time.

    Raises:
        ValueError: the text is not an RFC 3339 time, or has no time zone.
    """
    if not _INSTANT.fullmatch(text):
        raise ValueError("must be an RFC 3339 time with a time zone")
    # RFC 3339 allows any number of decimals, Python up to six.
    text = re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text.upper())
    return datetime.fromisoformat(text).timestamp()


def duration(least: int, most: int) -> Any:
    """Return the type of a field that is a time span: seconds, or a text with a unit; null is its default."""
    shown = {
        "anyOf": [
            {"type": "integer", "minimum": least, "maximum": most},
            {"type": "string", "pattern": f"^{_DURATION.pattern}$"},
            {"type": "null"},
        ]
    }
    return Annotated[int, Field(ge=least, le=most), BeforeValidator(_seconds), WithJsonSchema(shown)]


def null_is_default(kind: Any) -> BeforeValidator:
    """Return the validator of a field of this type for which null is the same as leaving it out.

    It must be the last one in `Annotated`.
    """
    return BeforeValidator(_use_default_for_null, json_schema_input_type=kind | None)


def _use_default_for_null(value: object) -> object:
    if value is None:
        raise PydanticUseDefault
    return value


def _seconds(value: object) -> object:
    value = _use_default_for_null(value)
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None:
            raise PydanticCustomError("duration", "must be a number of seconds, or a text such as 90s, 15m, 6h or 1d")
        return int(match[1]) * _UNITS[match[2]]
    return _to_int(value)


def _check_base64(text: str) -> str:
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise PydanticCustomError("base64", "must be standard base64 with padding") from error
    return text


def _check_instant(text: str) -> str:
    try:
        parse_instant(text)
    except ValueError as error:
        raise PydanticCustomError("instant", "must be an RFC 3339 time with a time zone") from error
    return text


def _check_queue(name: str) -> str:
    if name in _NO_SEGMENTS:
        raise PydanticCustomError(
            "queue", "must not be . or ..: clients take these out of URLs, so nobody could pause the queue"
        )
    return name


def _to_int(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = BeforeValidator(_to_int)
"""Accepts 60.0 as an integer: JSON does not distinguish it from 60.

In `Annotated`, `Field` with the bounds must precede it, else they are missing from the OpenAPI document.
"""

Base64 = Annotated[
    str,
    AfterValidator(_check_base64),
    Field(json_schema_extra={"pattern": f"^{BASE64_PATTERN}$", "contentEncoding": "base64"}),
]
Instant = Annotated[str, AfterValidator(_check_instant), Field(json_schema_extra={"format": "date-time"})]
QueueName = Annotated[
    str,
    Field(pattern=f"^{QUEUE_PATTERN}$", json_schema_extra={"not": {"enum": list(_NO_SEGMENTS)}}),
    AfterValidator(_check_queue),
]
Seconds = Annotated[int, Field(ge=0, le=YEAR_SECONDS), WholeNumber]
