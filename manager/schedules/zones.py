"""Time zones, from the `tzdata` package alone: what the hosts have installed differs, and with it when runs are due."""

from datetime import UTC, tzinfo
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from zoneinfo import ZoneInfo

UTC_NAME = "UTC"


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all IANA time zones."""
    return frozenset(files("tzdata").joinpath("zones").read_text("ascii").split())


@cache
def zone_of(name: str) -> tzinfo:
    """Return a time zone.

    Raises:
        ValueError: there is none with this name.
    """
    if name == UTC_NAME:
        return UTC
    if name not in zone_names():
        raise ValueError(f"{name[:80]!r} is not an IANA time zone such as Europe/Berlin or UTC")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@cache
def rules_version() -> str:
    """Return the version of the time zones' rules, which all managers must share."""
    return version("tzdata")
