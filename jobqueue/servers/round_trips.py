"""Counts a program's calls to Redis."""

from dataclasses import dataclass


@dataclass(slots=True)
class RoundTrips:
    """Calls since the program started. Those that wait for something, such as work, are left out.

    Attributes:
        answered: calls that were answered; commands that are sent together are one call.
        seconds: how long these took.
        failed: calls without an answer, to any of the servers.
    """

    answered: int = 0
    seconds: float = 0.0
    failed: int = 0
