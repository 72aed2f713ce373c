"""The functions that workers run: no decorators, and no app."""

from workmanager import job


def measure(text: str) -> int:
    return len(text)


def total() -> int:
    """Return the sum of what the jobs before have returned."""
    return sum(job.parent_results().values())
