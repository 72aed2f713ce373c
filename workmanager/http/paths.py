"""Paths of the API."""

from urllib.parse import quote

from workmanager.errors import UsageError


def job_path(job_id: str) -> str:
    """Return the path of a job."""
    return f"/jobs/{segment(job_id)}"


def segment(name: str) -> str:
    """Return a name as one segment of a path. Where `.` and `..` stand as they are, they are taken out of the path.

    Raises:
        UsageError: the name is empty, as that of a script's variable which nothing has set. The path would be another.
    """
    if not name:
        raise UsageError("an id or name is empty: give that of what you mean")
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")
