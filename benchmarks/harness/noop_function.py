"""A function of an operator's module that does nothing."""


def noop() -> None:
    """Do nothing."""
