"""Which version of this program runs."""


def installed_version() -> str | None:
    """Return the version; None if the program runs from a directory, and is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # Here, because few commands ask.

    try:
        return version("workmanager")
    except PackageNotFoundError:
        return None
