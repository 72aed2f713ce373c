"""Paths of the API."""

from urllib.parse import quote


def job_path(job_id: str) -> str:
    """Return the path of a job."""
    return f"/jobs/{segment(job_id)}"


def segment(name: str) -> str:
    """Return a name as one segment of a path. Where `.` and `..` stand as they are, they are taken out of the path."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")
