#!/usr/bin/env bash
# cronsim 2.8: explain() says "and" where the expression means "or", and ends 21 to 23 and 31 with "th".
#
# Behaviour: with a day of the month and a day of the week, cron (POSIX, crontab) and cronsim run on each day that is
#   either. The iterator does so; the words join both with "and", which reads as Friday the 13th. A person who checks a
#   schedule by its words expects a run or two a year, and gets five or six a month. Ordinals are made by adding "th".
# Upstream: not reported, as far as could be found. cron-descriptor had the same fault in its words, and mended it (its
#   pull request 102).
# Here: manager/schedules/cron.py puts both right in the words; a preview shows the next instants beside them.
# Expected output, seen 2026-11-28 with Python 3.11.7:
#   0 0 13 * 5: At 00:00 on the 13th day of month and on Friday
#   runs in January 2026: Fri 02, Fri 09, Tue 13, Fri 16, Fri 23, Fri 30
#   0 0 22 * *: At 00:00 on the 22th day of every month
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cronsim==2.8
"$folder/venv/bin/python" - <<'PY'
from datetime import datetime

from cronsim import CronSim

START = datetime(2025, 12, 31, 23, 59)


def words(expression):
    return CronSim(expression, START).explain()


instants = CronSim("0 0 13 * 5", START)
days = ", ".join(f"{instant:%a %d}" for instant in (next(instants) for _ in range(6)))
print(f"0 0 13 * 5: {words('0 0 13 * 5')}")
print(f"runs in January 2026: {days}")
print(f"0 0 22 * *: {words('0 0 22 * *')}")
assert words("0 0 13 * 5") == "At 00:00 on the 13th day of month and on Friday", "the words have changed"
assert days == "Fri 02, Fri 09, Tue 13, Fri 16, Fri 23, Fri 30", "the instants have changed"
assert "22th" in words("0 0 22 * *"), "the ordinals have changed"
PY
