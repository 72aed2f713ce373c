"""Where alerts are sent: a webhook, and a topic of Amazon SNS.

Imports httpx, which takes a while: managers import this module when the first alert is due.
"""

import asyncio
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

from manager.alerts.message import Message
from manager.callbacks.signature import headers
from outgoing.allow_list import AllowList
from outgoing.async_client import open_async_client
from outgoing.guard import AddressRefused, Guard

TIMEOUT_SECONDS = 15.0


class Channel(ABC):
    """A way to send a message.

    Attributes:
        name: for the log.
        has: what it has got of a message that another channel has not.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.has: set[tuple[str, float | None]] = set()

    @abstractmethod
    async def try_to_send(self, message: Message) -> str:
        """Send a message. Return why it did not arrive, without the URL, which can be secret; '' if it did."""

    async def close(self) -> None:  # noqa: B027 - not every channel has connections
        """Close the connections."""


def open_channels(url: str, topic: str, signing_keys: Sequence[bytes]) -> list[Channel]:
    """Return the channels that the settings name."""
    channels: list[Channel] = [Webhook(url, signing_keys)] if url else []
    return [*channels, SnsTopic(topic)] if topic else channels


class Webhook(Channel):
    """Sends messages as JSON, signed as callbacks are if there are secrets.

    Args:
        url: whatever the operator names may be called, but no metadata service.
        signing_keys: the newest first.
    """

    def __init__(self, url: str, signing_keys: Sequence[bytes]) -> None:
        super().__init__("webhook")
        self._url = url
        self._signing_keys = signing_keys
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        allowed = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        self._client = open_async_client(
            Guard(AllowList.parse(allowed), "WORKMANAGER_ALERT_URL"),
            timeout_seconds=TIMEOUT_SECONDS,
            ssl_context=ssl.create_default_context(),
            headers={"User-Agent": "workmanager-alerts", "Accept-Encoding": "identity"},
        )

    async def try_to_send(self, message: Message) -> str:
        sent = headers(message.id, self._signing_keys, int(time.time()), message.body)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                # The answer's body is not read: it can be endless.
                async with self._client.stream("POST", self._url, content=message.body, headers=sent) as response:
                    return "" if 200 <= response.status_code < 300 else f"status {response.status_code}"
        except TimeoutError:
            return f"no answer within {TIMEOUT_SECONDS:g} s"
        except AddressRefused as error:
            return str(error)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, OSError) as error:
            return type(error).__name__

    async def close(self) -> None:
        await self._client.aclose()


class SnsTopic(Channel):
    """Publishes messages.

    Args:
        arn: of the topic.
    """

    def __init__(self, arn: str) -> None:
        super().__init__("sns")
        self._arn = arn
        self._client: Any = None

    async def try_to_send(self, message: Message) -> str:
        # Here, because other managers start without it.
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            await asyncio.to_thread(self._publish, message)
        except (BotoCoreError, ClientError, OSError) as error:
            return str(error)
        return ""

    def _publish(self, message: Message) -> None:
        if self._client is None:
            import boto3
            from botocore.config import Config

            region = self._arn.split(":")[3]
            config = Config(connect_timeout=5, read_timeout=10, retries={"max_attempts": 1})
            self._client = boto3.client("sns", region_name=region, config=config)
        self._client.publish(TopicArn=self._arn, Subject=message.subject, Message=message.text)
