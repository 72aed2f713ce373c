"""Warnings in the answers of managers."""

from collections.abc import Mapping
from typing import Any

LOGGER = "workmanager.client"
"""The name that programs know."""


class Warnings:
    """Logs each warning once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, answer: Mapping[str, Any]) -> None:
        """Log an answer's warning, such as that no worker serves the job's queue; each text once."""
        warning = answer.get("warning")
        if warning and warning not in self._told:
            self._told.add(warning)
            import logging  # Here, as few answers warn.

            logging.getLogger(LOGGER).warning("%s", warning)
