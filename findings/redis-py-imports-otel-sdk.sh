#!/usr/bin/env bash
# redis-py 8.1.0 with opentelemetry-sdk 1.45.2: `import redis` imports the SDK if it is installed, though nothing uses it.
#
# Behaviour: without the SDK, `import redis` loads no module of OpenTelemetry. With it, the metrics part of the SDK is
#   loaded as well, about 60 modules more, although redis-py's own metrics are off and the program never imports
#   OpenTelemetry itself. A program that has the SDK installed for an option which is off still starts later.
# Upstream: not reported, as far as could be found.
# Here: docs/tracing.md says what an installed extra costs a program that does not trace.
# Expected output, seen 2026-11-28 with Python 3.11.7 (the counts change with the SDK's version):
#   without the SDK: 0 modules of OpenTelemetry, opentelemetry.sdk.metrics: no
#   with the SDK: 61 modules of OpenTelemetry, opentelemetry.sdk.metrics: yes
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat >"$folder/count.py" <<'PY'
import sys

import redis  # noqa: F401

found = [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]
answer = "yes" if "opentelemetry.sdk.metrics" in found else "no"
print(f"{len(found)} modules of OpenTelemetry, opentelemetry.sdk.metrics: {answer}")
PY
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "redis==8.1.0"
without="$("$folder/venv/bin/python" "$folder/count.py")"
echo "without the SDK: $without"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "opentelemetry-sdk==1.45.2"
with="$("$folder/venv/bin/python" "$folder/count.py")"
echo "with the SDK: $with"
[ "$without" = "0 modules of OpenTelemetry, opentelemetry.sdk.metrics: no" ] && [ "${with##* }" = yes ] ||
    { echo "the behaviour has changed" >&2; exit 1; }
