#!/usr/bin/env bash
# aws-cli 1.46.2: its botocore can be imported under two names, and these are two copies, not one module.
#
# Behaviour: aws-cli brings a botocore of its own, and no package botocore is installed beside it. Once `awscli.clidriver`
#   is imported, `import botocore` finds that copy, and aws-cli's own code uses this name. `import awscli.botocore` works,
#   too, and runs the same files a second time: classes, caches and patches of the one are not those of the other.
# Upstream: not reported, as far as could be found.
# Here: the tests' fork server of aws-cli (tests/infra/aws_server.py) warms botocore's caches. Under the name
#   `awscli.botocore`, it warmed caches that no call uses.
# Expected output, seen 2026-11-28 with Python 3.11.7:
#   botocore.loaders and awscli.botocore.loaders come from the same file: True
#   they are the same module: False; the same class Loader: False
#   a package botocore is installed: False
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check awscli==1.46.2
"$folder/venv/bin/python" - <<'PY'
import importlib
from importlib.metadata import PackageNotFoundError, distribution

import awscli.clidriver  # It makes `botocore` importable.

first, second = (importlib.import_module(name) for name in ("botocore.loaders", "awscli.botocore.loaders"))
same_file, same_module, same_class = first.__file__ == second.__file__, first is second, first.Loader is second.Loader
try:
    installed = bool(distribution("botocore"))
except PackageNotFoundError:
    installed = False
print(f"botocore.loaders and awscli.botocore.loaders come from the same file: {same_file}")
print(f"they are the same module: {same_module}; the same class Loader: {same_class}")
print(f"a package botocore is installed: {installed}")
assert (same_file, same_module, same_class, installed) == (True, False, False, False), "the behaviour has changed"
PY
