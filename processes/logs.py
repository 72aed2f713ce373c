"""Logging set-up: one event per line on stderr, as text or JSON, and to a collector if there is one.

Text: `time level logger event=… key=value`. JSON: see `processes/json_log.py`.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any

from processes.json_log import JsonFormatter
from processes.log_collector import LogCollector, parse_collector
from processes.settings_file import unknown_settings

TEXT, JSON = FORMATS = ("text", "json")

log = logging.getLogger(__name__)


def configure_logging(form: str = TEXT, collector_url: str = "") -> LogCollector | None:
    """Configure the root logger.

    Args:
        form: `text` or `json`.
        collector_url: who also gets all lines, see `parse_collector`; '' for nobody.

    Returns:
        the collector.
    """
    formatter: logging.Formatter = JsonFormatter() if form == JSON else _OneLineFormatter()
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    collector = None
    if collector_url:
        collector = LogCollector(parse_collector(collector_url))
        handlers.append(collector.handler())
        collector.start()
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=handlers)
    # The format uses none of these, and looking them up takes longer than writing the line (section "Optimization" in
    # the documentation of Python's logging).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    return collector


def configure_logging_from(environ: Mapping[str, str]) -> None:
    """Configure the root logger of a program that starts others, which check the settings."""
    form = environ.get("WORKMANAGER_LOG_FORMAT", "")
    configure_logging(form if form in FORMATS else TEXT)


def tell_unknown_settings(environ: Mapping[str, str]) -> None:
    """Log the names of variables that are probably misspelt settings: other programs' would begin differently."""
    if names := unknown_settings(environ):
        log.warning("event=unknown_settings names=%s: no program knows these settings", ",".join(names))


class _OneLineFormatter(logging.Formatter):
    """Escapes control characters: what a job or a queue is called makes no further line and controls no terminal."""

    def __init__(self) -> None:
        self.converter = time.gmtime
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        text = super().formatMessage(record)
        return text if text.isprintable() else _escaped(text, "")

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return _escaped(super().formatException(ei), "\n")


def _escaped(text: str, kept: str) -> str:
    return "".join(each if each.isprintable() or each in kept else repr(each)[1:-1] for each in text)
