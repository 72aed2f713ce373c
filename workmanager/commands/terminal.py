"""What a person at a terminal gets, and a program does not: colours."""

import os
from collections.abc import Callable
from typing import TextIO

RED, GREEN, YELLOW, CYAN, BOLD, DIM = "31", "32", "33", "36", "1", "2"
STYLES = {
    **dict.fromkeys(("failed", "dead", "suspect"), RED),
    **dict.fromkeys(("stopped", "canceled", "failing", "paused"), YELLOW),
    **dict.fromkeys(("started", "running", "busy"), CYAN),
    **dict.fromkeys(("finished", "delivered"), GREEN),
}
"""Words that stand alone in a cell of a table."""


def is_terminal(stream: TextIO) -> bool:
    """Return whether a person reads the stream, at a terminal that can draw a line again."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def tell_of_repeats(tell: Callable[[str], None]) -> None:
    """Tell once if no manager answers and the request is repeated: a person is waiting."""
    import logging  # Here, because commands that no person waits for need none of it.

    def tell_first(record: logging.LogRecord) -> bool:
        logger.removeFilter(tell_first)
        logger.setLevel(logging.NOTSET)
        tell(f"workmanager: {record.getMessage()}")
        return False

    logger = logging.getLogger("workmanager.http.transport")
    logger.setLevel(logging.INFO)
    logger.addFilter(tell_first)


def has_colours(stream: TextIO) -> bool:
    """Return whether to use colours: at a terminal only, and never with `NO_COLOR` (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def styled(text: str, style: str | None, stream: TextIO) -> str:
    """Return text with a style, such as `RED`, where colours are used."""
    return f"\x1b[{style}m{text}\x1b[0m" if style and has_colours(stream) else text
