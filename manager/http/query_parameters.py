"""Declare query parameters: one declaration both validates requests and describes them in the OpenAPI document.

Unknown and repeated parameters are rejected, which FastAPI's own parameters cannot do.

Hot path: see benchmarks/README.md#http_enqueue.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from manager.http.problems import BAD_QUERY, Problem

_MAX_CACHED_QUERIES = 1024

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Parameter(Protocol):
    """One query parameter."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def required(self) -> bool: ...
    @property
    def default(self) -> Any: ...

    def parse(self, text: str) -> Any:
        """Return the value; raise ValueError with the form that is expected."""

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the value."""


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer in decimal digits."""

    name: str
    description: str
    minimum: int
    maximum: int
    required: bool = False
    default: int | None = None

    def parse(self, text: str) -> int:
        """See `Parameter`."""
        if not _INTEGER.fullmatch(text) or not self.minimum <= int(text) <= self.maximum:
            raise ValueError(f"must be an integer from {self.minimum} to {self.maximum}")
        return int(text)

    def schema(self) -> dict[str, Any]:
        """See `Parameter`."""
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class Number:
    """A number in JSON's notation."""

    name: str
    description: str
    minimum: float
    maximum: float
    required: bool = False
    default: float | None = None

    def parse(self, text: str) -> float:
        """See `Parameter`."""
        if not _NUMBER.fullmatch(text) or not self.minimum <= float(text) <= self.maximum:
            raise ValueError(f"must be a number from {self.minimum:g} to {self.maximum:g}")
        return float(text)

    def schema(self) -> dict[str, Any]:
        """See `Parameter`."""
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values."""

    name: str
    description: str
    choices: tuple[str, ...]
    required: bool = False
    default: str | None = None

    def parse(self, text: str) -> str:
        """See `Parameter`."""
        if text not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        return text

    def schema(self) -> dict[str, Any]:
        """See `Parameter`."""
        return {"type": "string", "enum": list(self.choices)}


@dataclass(frozen=True, slots=True)
class Text:
    """A text that matches a whole regular expression, which is also valid in JSON schema."""

    name: str
    description: str
    pattern: str
    required: bool = False
    default: str | None = None

    def parse(self, text: str) -> str:
        """See `Parameter`."""
        if not re.fullmatch(self.pattern, text, re.ASCII):
            raise ValueError(f"must match {self.pattern}")
        return text

    def schema(self) -> dict[str, Any]:
        """See `Parameter`."""
        return {"type": "string", "pattern": f"^{self.pattern}$"}


class Query:
    """The query parameters of a route."""

    def __init__(self, *parameters: Parameter) -> None:
        self._parameters: Mapping[str, Parameter] = {parameter.name: parameter for parameter in parameters}
        # Most clients repeat a few queries, so valid ones are cached.
        self._parse_cached = lru_cache(_MAX_CACHED_QUERIES)(self._parse)

    def parse(self, query_string: bytes) -> Mapping[str, Any]:
        """Return the values by name; a parameter that is not given has its default.

        Raises:
            Problem: 400, naming the first parameter that is invalid, unknown, given twice or missing.
        """
        return self._parse_cached(query_string)

    def _parse(self, query_string: bytes) -> Mapping[str, Any]:
        given: dict[str, Any] = {}
        for part in query_string.split(b"&") if query_string else ():
            raw_name, _, raw_value = part.partition(b"=")
            name, text = _decode(raw_name), _decode(raw_value)
            if name not in self._parameters:
                known = ", ".join(self._parameters) or "none"
                raise _invalid(name, f"unknown parameter; known parameters: {known}")
            if name in given:
                raise _invalid(name, "given twice")
            try:
                given[name] = self._parameters[name].parse(text)
            except ValueError as error:
                raise _invalid(name, f"{error}, not {text[:80]!r}") from error
        for name, parameter in self._parameters.items():
            if name not in given:
                if parameter.required:
                    raise _invalid(name, "missing")
                given[name] = parameter.default
        return MappingProxyType(given)

    def openapi(self) -> list[dict[str, Any]]:
        """Return the parameters as OpenAPI objects."""
        return [_describe(parameter) for parameter in self._parameters.values()]


NO_PARAMETERS = Query()


def _decode(raw: bytes) -> str:
    if b"%" in raw or b"+" in raw:
        raw = unquote_to_bytes(raw.replace(b"+", b" "))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem(BAD_QUERY, "the query string is not UTF-8") from error
    if _CONTROL.search(text):
        raise Problem(BAD_QUERY, "the query string contains a control character")
    return text


def _invalid(name: str, message: str) -> Problem:
    return Problem(BAD_QUERY, f"{name[:80]}: {message}", parameter=name[:80])


def _describe(parameter: Parameter) -> dict[str, Any]:
    schema = parameter.schema()
    if parameter.default is not None:
        schema["default"] = parameter.default
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
        "schema": schema,
    }
