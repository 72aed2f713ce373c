#!/usr/bin/env bash
# redis-py 8.1.0: a capped exponential backoff raises OverflowError from the 1,024th failure on.
#
# Behaviour: `ExponentialBackoff`, `EqualJitterBackoff`, `FullJitterBackoff` and `ExponentialWithJitterBackoff` compute
#   min(cap, base * 2**failures): the integer power is converted to a float before the cap applies. `Retry(backoff, -1)`
#   is documented to repeat for ever, so a long outage (34 minutes at a cap of 2 s) ends with an exception that is no
#   Redis error and that `except RedisError` does not catch.
# Upstream: open at the time of writing as redis/redis-py#4320.
# Here: jobqueue/backoff.py bounds the number of failures that it passes on.
# Expected output, seen 2026-11-27:
#   compute(1023) = 2.0
#   compute(1024): OverflowError: int too large to convert to float
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0
"$folder/venv/bin/python" - <<'PY'
from redis.backoff import ExponentialBackoff

backoff = ExponentialBackoff(cap=2.0, base=0.1)
print("compute(1023) =", backoff.compute(1023))
try:
    print("compute(1024) =", backoff.compute(1024))
except OverflowError as error:
    print(f"compute(1024): OverflowError: {error}")
else:
    raise SystemExit("the behaviour has changed: no OverflowError")
PY
