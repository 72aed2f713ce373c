"""`python -m manager` with the scaler's long times divided by ten: the minimum billed minute is six seconds.

The tests' instances boot in two seconds instead of twenty to ninety, so the proportions are kept. Timeouts on a
worker's heartbeat are not shorter than three heartbeats.
"""

import sys

from manager.__main__ import main
from scaler import loop
from scaler.apply import instance_reconciler
from scaler.fleets.ec2 import fleet
from scaler.observe import instance_phases
from scaler.state import launch_breaker

SPEED = 10.0

fleet.MIN_BILLED_SECONDS /= SPEED
fleet.BOOT_SECONDS /= SPEED
fleet.POLL_SECONDS /= SPEED
fleet.IDLE_POLL_SECONDS /= SPEED
instance_phases.SILENT_SECONDS = 6.0
instance_phases.LOST_SECONDS = 6.0
instance_phases.FENCE_SECONDS /= SPEED
instance_phases.UNDESCRIBED_SECONDS /= SPEED
instance_reconciler.DRAIN_REMINDER_SECONDS /= SPEED
launch_breaker.POOL_COOLDOWN_SECONDS /= SPEED
launch_breaker.REFUSED_BACKOFF_SECONDS /= SPEED
launch_breaker.PROBE_SECONDS /= SPEED
loop.RECOVERY_WAIT_SECONDS = 3.0

if __name__ == "__main__":
    sys.exit(main())
