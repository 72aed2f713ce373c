"""`python -m manager` in which the scaler's long times pass ten times as fast: a paid minute lasts six seconds.

The instances of the tests boot in two seconds instead of some twenty or ninety, so the proportions are kept. What a
worker's heartbeat decides is not shorter than three heartbeats.
"""

from __future__ import annotations

import sys

from manager.__main__ import main
from scaler import caution, clearing, loop, review
from scaler.ec2 import fleet

SPEED = 10.0

fleet.MINIMUM_PAID_SECONDS /= SPEED
fleet.BOOT_SECONDS /= SPEED
fleet.LOOK_SECONDS /= SPEED
fleet.REST_SECONDS /= SPEED
review.SILENT_SECONDS = 6.0
review.LOST_SECONDS = 6.0
review.PASS_SECONDS /= SPEED
review.MISSING_SECONDS /= SPEED
clearing.TELL_SECONDS /= SPEED
caution.AVOID_SECONDS /= SPEED
caution.REFUSED_BACKOFF_SECONDS /= SPEED
caution.PROBE_SECONDS /= SPEED
loop.SETTLE_SECONDS = 3.0

if __name__ == "__main__":
    sys.exit(main())
