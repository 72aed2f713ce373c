"""How the properties in `test_fuzz*.py` are tried: a short run with the same examples each time in the tests.

`WORKMANAGER_TEST_FUZZ_EXAMPLES=100000` runs long, with new ones. `./scripts/dev.sh fuzz` lets coverage choose them
(`tests/fuzz.py`). What either finds is kept in `.hypothesis`, and is tried first, and made small, by the next long run.
"""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("WORKMANAGER_TEST_FUZZ_EXAMPLES", "0"))


def fuzz_settings(examples: int) -> settings:
    """Return the settings of properties of which a short run tries so many examples."""
    if EXAMPLES:
        return settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
