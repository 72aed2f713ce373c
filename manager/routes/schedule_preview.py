"""`/schedules/preview`: when a cron expression runs, without a schedule."""

import asyncio
import time
from itertools import islice

from fastapi import Request, Response

from manager.http.json_response import json_response
from manager.http.problems import BAD_QUERY, Problem
from manager.http.query_parameters import Integer, Query, Text
from manager.schedules.clock_changes import clock_changes
from manager.schedules.cron import MAX_CHARACTERS, check_cron
from manager.schedules.timing import Timing
from manager.schedules.zones import UTC_NAME, rules_version, zone_of
from manager.schemas.schedules import description, instant_documents

PREVIEW_QUERY = Query(
    Text("cron", "The expression", rf"[^\x00-\x1f\x7f]{{1,{MAX_CHARACTERS}}}", required=True),
    Text("timezone", "IANA time zone", "[A-Za-z0-9_+/-]{1,64}", default=UTC_NAME),
    Integer("limit", "Number of instants", 1, 100, default=10),
)


async def preview(request: Request) -> Response:
    """Show when a cron expression runs, and what changes of the clock do to it."""
    query = PREVIEW_QUERY.parse(request.scope["query_string"])
    # Rare instants are far apart: it looks at many years.
    return json_response(await asyncio.to_thread(_preview, query["cron"], query["timezone"], query["limit"]))


def _preview(cron: str, timezone: str, limit: int) -> dict[str, object]:
    now = time.time()
    try:
        zone = zone_of(timezone)
    except ValueError as error:
        raise Problem(BAD_QUERY, f"timezone: {error}", parameter="timezone") from error
    try:
        check_cron(cron, zone, now)
    except ValueError as error:
        raise Problem(BAD_QUERY, f"cron: {error}", parameter="cron") from error
    timing = Timing(cron, None, timezone)
    instants, changes = instant_documents(
        *(list(islice(timing.after(now), limit)), clock_changes(cron, zone, now), zone)
    )
    return {
        "cron": cron,
        "timezone": timezone,
        "description": description(timing),
        "instants": instants,
        "clock_changes": changes,
        "time_zone_rules": rules_version(),
    }
