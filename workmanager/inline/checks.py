"""Checks of JSON values. Each takes the place of a value and the value, and raises `Refused` with a manager's words."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

Check = Callable[[str, Any], None]


class Refused(Exception):
    """A value is not what it must be.

    Attributes:
        field: its place, such as `retry.max`; '' for the whole.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def text(pattern: str | None = None, *, least: int = 0, most: int | None = None) -> Check:
    """Return the check of a text: the pattern that it matches as a whole, and how many characters it has."""

    def check(place: str, value: Any) -> None:
        if not isinstance(value, str):
            raise Refused(place, "Input should be a valid string")
        if len(value) < least:
            raise Refused(place, f"String should have at least {_counted(least, 'character')}")
        if most is not None and len(value) > most:
            raise Refused(place, f"String should have at most {_counted(most, 'character')}")
        if pattern is not None and not re.fullmatch(pattern, value, re.ASCII):
            raise Refused(place, f"String should match pattern '^{pattern}$'")

    return check


def boolean(place: str, value: Any) -> None:
    """Check that a value is true or false."""
    if not isinstance(value, bool):
        raise Refused(place, "Input should be a valid boolean")


def integer(least: int, most: int) -> Check:
    """Return the check of an integer; JSON does not distinguish 60.0 from 60."""

    def check(place: str, value: Any) -> None:
        if type(value) is not int and not (type(value) is float and value.is_integer()):
            raise Refused(place, "Input should be a valid integer")
        _check_range(place, value, least, most)

    return check


def number(*, most: int, least: int | None = None, above: int | None = None) -> Check:
    """Return the check of a number that is at least `least`, or more than `above`."""

    def check(place: str, value: Any) -> None:
        if type(value) not in (int, float):
            raise Refused(place, "Input should be a valid number")
        if above is not None and value <= above:
            raise Refused(place, f"Input should be greater than {above}")
        _check_range(place, value, least, most)

    return check


def choice(*values: str) -> Check:
    """Return the check of one of a few texts."""
    shown = [repr(value) for value in values]
    last = f" or {shown[-1]}" if shown[1:] else shown[-1]

    def check(place: str, value: Any) -> None:
        if value not in values:
            raise Refused(place, "Input should be " + ", ".join(shown[:-1]) + last)

    return check


def array(of: Check | None = None, *, least: int = 0, most: int | None = None) -> Check:
    """Return the check of a list."""

    def check(place: str, value: Any) -> None:
        if not isinstance(value, list):
            raise Refused(place, "Input should be a valid array")
        if of is not None:
            for index, item in enumerate(value):
                of(f"{place}.{index}", item)
        size = len(value)
        if size < least:
            raise Refused(place, f"List should have at least {_counted(least, 'item')} after validation, not {size}")
        if most is not None and size > most:
            raise Refused(place, f"List should have at most {_counted(most, 'item')} after validation, not {size}")

    return check


def mapping(name: Check | None = None, of: Check | None = None, *, most: int | None = None) -> Check:
    """Return the check of an object whose names are free."""

    def check(place: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise Refused(place, "Input should be an object")
        if most is not None and len(value) > most:
            raise Refused(place, f"Dictionary should have at most {_counted(most, 'item')} after validation, not more")
        for key, item in value.items():
            if name is not None:
                name(f"{place}.{key}.[key]", key)
            if of is not None:
                of(f"{place}.{key}", item)

    return check


def fields(checks: Mapping[str, Check], *, required: Collection[str]) -> Check:
    """Return the check of an object that has these fields. Null is as good as none if a field is not required."""

    def check(place: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise Refused(place, "Input should be an object")
        prefix = f"{place}." if place else ""
        for name, of in checks.items():
            if name in required and name not in value:
                raise Refused(prefix + name, "Field required")
            if name in required or value.get(name) is not None:
                of(prefix + name, value[name])
        for name in value:
            if name not in checks:
                raise Refused(
                    prefix + name, "there is no such field: GET /docs and /openapi.json show those that there are"
                )

    return check


def _check_range(place: str, value: float, least: int | None, most: int) -> None:
    if least is not None and value < least:
        raise Refused(place, f"Input should be greater than or equal to {least}")
    if value > most:
        raise Refused(place, f"Input should be less than or equal to {most}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
