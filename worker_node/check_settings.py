"""`python -m worker_node.check_settings`: check the settings of a worker, without running one.

Exit code: 0, or 2 with one line on stderr. `workmanager up` runs it before it starts anything: its workers come later.
"""

import os
import sys

from worker_node.settings import read_job_user, read_settings


def main() -> int:
    """Check what the environment says; return the exit code 0, or exit with 2."""
    read_job_user(read_settings(os.environ))
    return 0


if __name__ == "__main__":
    sys.exit(main())
