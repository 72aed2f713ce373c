"""Logging set-up: one line per event on stderr, `time level logger event=… key=value`."""

import logging
import time
from typing import Any


def configure_logging() -> None:
    """Configure the root logger."""
    formatter = _OneLineFormatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # The format uses none of these, and looking them up takes longer than writing the line (section "Optimization" in
    # the documentation of Python's logging).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None


class _OneLineFormatter(logging.Formatter):
    """Escapes control characters: what a job or a queue is called makes no further line and controls no terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        text = super().formatMessage(record)
        return text if text.isprintable() else _escaped(text, "")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return _escaped(super().formatException(ei), "\n")


def _escaped(text: str, kept: str) -> str:
    return "".join(each if each.isprintable() or each in kept else repr(each)[1:-1] for each in text)
