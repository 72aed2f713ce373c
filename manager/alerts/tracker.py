"""What has been told of which alert, and what is to be told now. Pure; its state is kept in Redis as JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from manager.alerts.conditions import HOLD_SECONDS, Condition

CLEAR_SECONDS = 60.0
"""What has not been wrong for so long has ended. Twice as long each time that it begins again."""
MAX_CLEAR_SECONDS = 3600.0
FORGET_SECONDS = 6 * 3600.0
"""What has not been wrong for so long begins as if for the first time."""
MAX_ALERTS = 200
"""Of further conditions, nothing is told until others have ended."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One condition. Times are Unix times.

    Attributes:
        began_at: since when it has been wrong.
        seen_at: when it was wrong last.
        begins: how many times it has begun lately.
        told: whether its begin was told.
        ended_at: when it had ended; None while it lasts.
        end_told: whether its end was told.
    """

    kind: str
    subject: str
    text: str
    began_at: float
    seen_at: float
    begins: int = 1
    told: bool = False
    ended_at: float | None = None
    end_told: bool = False

    @property
    def id(self) -> str:
        """The same for its begin and its end, and for each repetition of either."""
        return f"{self.kind}:{self.subject}:{self.began_at:.0f}"

    @property
    def clear_seconds(self) -> float:
        """For how long it must not be seen until it has ended."""
        return float(min(CLEAR_SECONDS * 2 ** (self.begins - 1), MAX_CLEAR_SECONDS))


@dataclass(slots=True)
class AlertTracker:
    """All alerts that last, or have ended lately."""

    alerts: dict[Condition, Alert] = field(default_factory=dict)
    hold_seconds: Mapping[str, float] = field(default_factory=lambda: HOLD_SECONDS)

    def update(self, found: Mapping[Condition, str], now: float) -> None:
        """Take what is wrong now, each with a sentence."""
        for condition, text in found.items():
            alert = self.alerts.get(condition)
            if alert is not None and alert.ended_at is None:
                self.alerts[condition] = replace(alert, text=text, seen_at=now)
            elif alert is not None and alert.end_told:
                self.alerts[condition] = Alert(*condition, text, now, now, begins=alert.begins + 1)
            elif alert is None and len(self.alerts) < MAX_ALERTS:
                self.alerts[condition] = Alert(*condition, text, now, now)
        for condition, alert in list(self.alerts.items()):
            absent = now - alert.seen_at
            if condition not in found and alert.ended_at is None:
                if not alert.told and absent > 0 and not self._is_due(alert):
                    del self.alerts[condition]  # It has not lasted.
                elif absent >= alert.clear_seconds:
                    self.alerts[condition] = replace(alert, ended_at=alert.seen_at)
            elif alert.end_told and absent > FORGET_SECONDS:
                del self.alerts[condition]

    def due(self) -> tuple[Alert, ...]:
        """Return the alerts of which the begin or the end is to be told."""
        return tuple(
            alert
            for alert in self.alerts.values()
            if (not alert.told and self._is_due(alert)) or (alert.ended_at is not None and not alert.end_told)
        )

    def told(self, alerts: Iterable[Alert]) -> None:
        """Note that these were told."""
        for alert in alerts:
            self.alerts[Condition(alert.kind, alert.subject)] = replace(
                alert, told=True, end_told=alert.ended_at is not None
            )

    def dump(self) -> list[dict[str, Any]]:
        """Return the state for JSON."""
        return [asdict(alert) for alert in self.alerts.values()]

    def load(self, stored: Any) -> None:
        """Take over a state; what cannot be read is left out."""
        self.alerts.clear()
        for value in stored if isinstance(stored, list) else ():
            try:
                alert = Alert(**value)
                alert.began_at + alert.seen_at + alert.begins + (alert.ended_at or 0.0)
            except TypeError:
                continue
            self.alerts[Condition(alert.kind, alert.subject)] = alert

    def _is_due(self, alert: Alert) -> bool:
        return alert.seen_at - alert.began_at >= self.hold_seconds.get(alert.kind, 0.0)
