"""Query parameters, declared once: what is declared is both checked and shown in the OpenAPI document."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from manager.http.problems import BAD_QUERY, Problem

_REMEMBERED_QUERIES = 1024

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

    def read(self, text: str) -> Any:
        """The value; raises ValueError, saying what is expected."""

    def schema(self) -> dict[str, Any]:
        """JSON schema of the value."""


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number in decimal digits."""

    name: str
    description: str
    minimum: int
    maximum: int
    required: bool = False
    default: int | None = None

    def read(self, text: str) -> int:
        """See `Parameter`."""
        if not _INTEGER.fullmatch(text) or not self.minimum <= int(text) <= self.maximum:
            raise ValueError(f"an integer from {self.minimum} to {self.maximum} is expected")
        return int(text)

    def schema(self) -> dict[str, Any]:
        """See `Parameter`."""
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class Number:
    """A number as JSON writes it."""

    name: str
    description: str
    minimum: float
    maximum: float
    required: bool = False
    default: float | None = None

    def read(self, text: str) -> float:
        """See `Parameter`."""
        if not _NUMBER.fullmatch(text) or not self.minimum <= float(text) <= self.maximum:
            raise ValueError(f"a number from {self.minimum:g} to {self.maximum:g} is expected")
        return float(text)

    def schema(self) -> dict[str, Any]:
        """See `Parameter`."""
        return {"type": "number", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    name: str
    description: str
    choices: tuple[str, ...]
    required: bool = False
    default: str | None = None

    def read(self, text: str) -> str:
        """See `Parameter`."""
        if text not in self.choices:
            raise ValueError(f"one of {', '.join(self.choices)} is expected")
        return text

    def schema(self) -> dict[str, Any]:
        """See `Parameter`."""
        return {"type": "string", "enum": list(self.choices)}


@dataclass(frozen=True, slots=True)
class Text:
    """A text that matches a regular expression (of JSON schema, anchored)."""

    name: str
    description: str
    pattern: str
    required: bool = False
    default: str | None = None

    def read(self, text: str) -> str:
        """See `Parameter`."""
        if not re.fullmatch(self.pattern, text, re.ASCII):
            raise ValueError(f"a text that matches {self.pattern} is expected")
        return text

    def schema(self) -> dict[str, Any]:
        """See `Parameter`."""
        return {"type": "string", "pattern": f"^{self.pattern}$"}


class Query:
    """The parameters of a route."""

    def __init__(self, *parameters: Parameter) -> None:
        self._parameters: Mapping[str, Parameter] = {parameter.name: parameter for parameter in parameters}
        # Most clients send the same few queries: what was right once is not read again.
        self._remembered = lru_cache(_REMEMBERED_QUERIES)(self._read)

    def read(self, query_string: bytes) -> Mapping[str, Any]:
        """The values by name, with each parameter that is not given at its default.

        Raises:
            Problem: 400, naming the first parameter that is wrong, unknown, given twice or missing.
        """
        return self._remembered(query_string)

    def _read(self, query_string: bytes) -> Mapping[str, Any]:
        given: dict[str, Any] = {}
        for part in query_string.split(b"&") if query_string else ():
            raw_name, _, raw_value = part.partition(b"=")
            name, text = _decode(raw_name), _decode(raw_value)
            if name not in self._parameters:
                known = ", ".join(self._parameters) or "none"
                raise _bad(name, f"unknown parameter; known: {known}")
            if name in given:
                raise _bad(name, "given twice")
            try:
                given[name] = self._parameters[name].read(text)
            except ValueError as error:
                raise _bad(name, f"{error}, not {text[:80]!r}") from error
        for name, parameter in self._parameters.items():
            if name not in given:
                if parameter.required:
                    raise _bad(name, "missing")
                given[name] = parameter.default
        return MappingProxyType(given)

    def openapi(self) -> list[dict[str, Any]]:
        """The parameters as OpenAPI describes them."""
        return [_describe(parameter) for parameter in self._parameters.values()]


NO_PARAMETERS = Query()


def _decode(raw: bytes) -> str:
    if b"%" in raw or b"+" in raw:
        raw = unquote_to_bytes(raw.replace(b"+", b" "))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem(BAD_QUERY, "the query is not UTF-8") from error
    if _CONTROL.search(text):
        raise Problem(BAD_QUERY, "the query holds a control character")
    return text


def _bad(name: str, what: str) -> Problem:
    return Problem(BAD_QUERY, f"{name[:80]}: {what}", parameter=name[:80])


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


def path_parameter(name: str, description: str, pattern: str) -> dict[str, Any]:
    """A part of the path, as OpenAPI describes it."""
    schema = {"type": "string", "pattern": f"^{pattern}$"}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def merged(*lists: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Several lists of parameters as one."""
    return [parameter for parameters in lists for parameter in parameters]
