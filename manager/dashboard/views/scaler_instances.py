"""The instances that the page of the scaler shows. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

MAX_ROWS = 100
_QUIET = ("idle", "busy")


def instances_shown(instances: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return some of the instances, as the API shows them: first those that come, go or are lost, the oldest first."""
    return sorted(instances, key=lambda each: each["state"] in _QUIET)[:MAX_ROWS]
