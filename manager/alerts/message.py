"""What is sent: one message for all alerts that are to be told at a moment."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobqueue.timestamps import iso
from manager.alerts.tracker import Alert

MAX_SUBJECT = 100
"""Of an e-mail that SNS sends."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message.

    Attributes:
        id: the same in each repetition.
        subject: one line.
        text: a line for each alert.
        body: JSON with all of it.
    """

    id: str
    subject: str
    text: str
    body: bytes


def message(alerts: Sequence[Alert], system: str, now: float) -> Message:
    """Return the message about these alerts.

    Args:
        system: the name of this system.
    """
    lines = [f"{'ended' if alert.ended_at is not None else 'began'}: {alert.text}" for alert in alerts]
    text = "\n".join(f"{system}: {line}" for line in lines)
    body = {"type": "alerts", "system": system, "at": iso(now), "text": text, "alerts": [*map(_document, alerts)]}
    first = lines[0] if len(lines) == 1 else f"{len(lines)} alerts: {lines[0]}"
    subject = "".join(character if character.isprintable() else " " for character in f"{system}: {first}")
    encoded = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    ids = ",".join(f"{alert.id}:{'ended' if alert.ended_at is not None else 'began'}" for alert in alerts)
    return Message(ids[:200], subject.encode("ascii", "replace").decode()[:MAX_SUBJECT], text, encoded)


def _document(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "status": "ended" if alert.ended_at is not None else "began",
        "kind": alert.kind,
        "subject": alert.subject,
        "text": alert.text,
        "began_at": iso(alert.began_at),
        "ended_at": None if alert.ended_at is None else iso(alert.ended_at),
    }
