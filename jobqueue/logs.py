"""The form of the programs' logs: one line an event on stderr, `time level logger event=… key=value`."""

import logging
import time


def configure_logging() -> None:
    """Sets the root logger up."""
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # The form above names none of these; looking them up takes longer than writing the line (see "Optimization" in
    # Python's logging documentation).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
