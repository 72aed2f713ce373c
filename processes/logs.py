"""Logging set-up: one line per event on stderr, `time level logger event=… key=value`."""

import logging
import time


def configure_logging() -> None:
    """Configure the root logger."""
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # The format uses none of these, and looking them up takes longer than writing the line (section "Optimization" in
    # the documentation of Python's logging).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
