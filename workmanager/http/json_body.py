"""JSON of requests: what has no form in it is refused before anything is sent."""

import json
from collections.abc import Callable
from typing import Any

from workmanager.errors import UsageError


def json_bytes(value: Any, subject: str) -> bytes:
    """Return a value as one line of JSON.

    Args:
        subject: what it is, for the error.

    Raises:
        UsageError: JSON has no form for a part of it, such as a set or NaN.
    """
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_refuse).encode()
    except RecursionError as error:
        raise UsageError(f"{subject} cannot be written as JSON: it is nested too deeply") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"{subject} cannot be written as JSON: {error}") from error


def _refuse(value: object) -> None:
    """Raise TypeError for a value that has no form; say what to give instead of what people try first."""
    message = f"it has no form for an object of the type {type(value).__name__}"
    if isinstance(value, bytes | bytearray | memoryview):
        message += "; bytes for a function marked binary are given by name, as `data=`"
    elif callable(value):
        message += f"; a function is given by its name, {_name(value)}"
    raise TypeError(message)


def _name(function: Callable[..., Any]) -> str:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    return f'"{module}.{name}"' if module and module != "__main__" and name.isidentifier() else "module.function"
