"""Server-sent events of a response."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

Event = tuple[str, str, Any]
"""Name, id and data."""


def events(response: httpx.Response) -> Iterator[Event]:
    """Yield each event."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "event" in fields:
            yield fields["event"], fields.get("id", ""), json.loads(fields["data"])
            fields = {}
