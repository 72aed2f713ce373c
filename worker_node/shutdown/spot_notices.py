"""EC2's notices to an instance that it is about to take away.

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
"""EC2 gives two minutes, and asks to look every five seconds."""
SPOT_WARNING_SECONDS = 120.0

log = logging.getLogger(__name__)


async def watch_interruption_notices(
    metadata: InstanceMetadata, *, on_spot: Callable[[datetime], None], on_rebalance: Callable[[], None]
) -> None:
    """Looks for notices until EC2 takes the instance back, which ends it.

    Args:
        on_spot: told once, with the time at which the instance goes.
        on_rebalance: told once, that the instance is likelier than others to be taken back.
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
    """When the instance of a notice `{"action": …, "time": "2026-01-31T08:22:00Z"}` goes.

    A notice that cannot be read is a notice still: it is taken for one of the usual two minutes from `now`.
    """
    try:
        return datetime.fromisoformat(json.loads(notice)["time"]).astimezone(UTC)
    except (ValueError, KeyError, TypeError):
        log.warning("event=spot_notice_unreadable notice=%r", notice)
        return now + timedelta(seconds=SPOT_WARNING_SECONDS)
