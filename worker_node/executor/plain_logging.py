"""Lines of Python's `logging` for which nothing is configured: to standard error, with their level and logger.

A module that configures logging itself, when it is imported or in its functions, is not interfered with.
"""

import sys
from typing import Any

_FORMAT = "%(levelname)s %(name)s: %(message)s"


def set_up_plain_logging(level: str) -> bool:
    """Set it up if `logging` is imported; return whether it is."""
    logging: Any = sys.modules.get("logging")
    if logging is None:
        return False
    handler, root = logging.lastResort, logging.root
    if handler is not None:
        handler.setLevel(logging.NOTSET)
        handler.setFormatter(logging.Formatter(_FORMAT))
    if not root.handlers and root.level == logging.WARNING:
        root.setLevel(level)
    return True
