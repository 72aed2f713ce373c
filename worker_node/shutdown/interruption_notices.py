"""EC2 interruption notices: watches the instance metadata for spot terminations and rebalance recommendations.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
"""

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from worker_node.shutdown.instance_metadata import InstanceMetadata, MetadataUnavailable

POLL_SECONDS = 5.0
"""AWS recommends to check every five seconds."""
SPOT_WARNING_SECONDS = 120.0
"""How long before the termination EC2 sends the notice."""

log = logging.getLogger(__name__)


async def watch_interruption_notices(
    metadata: InstanceMetadata, *, on_spot: Callable[[datetime], None], on_rebalance: Callable[[], None]
) -> None:
    """Watch for notices until one says that EC2 reclaims the instance.

    Args:
        on_spot: called once, with the time of the termination.
        on_rebalance: called at most once, when EC2 is likely to reclaim the instance.
    """
    rebalanced, reachable = False, True
    while True:
        try:
            if (notice := await metadata.read("spot/instance-action")) is not None:
                on_spot(parse_termination_time(notice, datetime.now(UTC)))
                return
            if not rebalanced and await metadata.read("events/recommendations/rebalance") is not None:
                rebalanced = True
                on_rebalance()
        except MetadataUnavailable as error:
            if reachable:
                log.warning("event=metadata_unavailable error=%r", str(error))
            reachable = False
        else:
            reachable = True
        await asyncio.sleep(POLL_SECONDS)


def parse_termination_time(notice: str, now: datetime) -> datetime:
    """Return the time in a spot notice `{"action": …, "time": "2026-01-31T08:22:00Z"}`.

    A notice that cannot be parsed counts as one for the usual two minutes after `now`.
    """
    try:
        return datetime.fromisoformat(json.loads(notice)["time"]).astimezone(UTC)
    except (ValueError, KeyError, TypeError):
        log.warning("event=spot_notice_unreadable notice=%r", notice)
        return now + timedelta(seconds=SPOT_WARNING_SECONDS)
