"""Sends what is due to every channel, once, and again until it has arrived."""

import asyncio
import importlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobqueue.backoff import Outage
from manager.alerts.message import message
from manager.alerts.tracker import Alert
from manager.callbacks.signature import parse_secrets
from manager.settings import ManagerSettings

if TYPE_CHECKING:
    from manager.alerts.channels import Channel

FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 5.0, 300.0

log = logging.getLogger(__name__)


class AlertSender:
    """The channels that the settings name."""

    def __init__(self, settings: ManagerSettings) -> None:
        self._settings = settings
        self._channels: Sequence[Channel] | None = None
        self._outage = Outage()
        self._failures = 0
        self._not_before = 0.0

    async def send(self, due: Sequence[Alert], now: float) -> bool:
        """Send alerts, all in one message, and return whether every channel has them."""
        if now < self._not_before:
            return False
        channels, missing = await self._open(), 0
        for channel in channels:
            alerts = [alert for alert in due if (alert.id, alert.ended_at) not in channel.has]
            reason = await channel.try_to_send(message(alerts, self._settings.cluster_name, now)) if alerts else ""
            if not reason:
                channel.has |= {(alert.id, alert.ended_at) for alert in alerts}
                continue
            missing += len(alerts)
            if self._outage.begin(f"{channel.name} {reason}"):
                log.warning("event=alerts_unsent channel=%s alerts=%d reason=%r", channel.name, len(alerts), reason)
        if missing:
            pause = FIRST_RETRY_SECONDS * 2.0 ** min(self._failures, 10)
            self._failures += 1
            self._not_before = now + min(pause, MAX_RETRY_SECONDS)
            return False
        self._failures = 0
        for channel in channels:
            channel.has.clear()
        if (seconds := self._outage.end()) is not None:
            log.info("event=alerts_sent_again after_seconds=%.1f", seconds)
        return True

    async def close(self) -> None:
        """Close the connections."""
        for channel in self._channels or ():
            await channel.close()

    async def _open(self) -> Sequence["Channel"]:
        if self._channels is None:
            module = await asyncio.to_thread(importlib.import_module, "manager.alerts.channels")
            secrets = parse_secrets(self._settings.callback_secrets)
            channels: Sequence[Channel] = await asyncio.to_thread(
                module.open_channels, self._settings.alert_url, self._settings.alert_topic, secrets
            )
            self._channels = channels
        return self._channels
