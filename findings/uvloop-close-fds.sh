#!/usr/bin/env bash
# uvloop 0.23.0: a child inherits descriptors that asyncio's own loop would close, and each standard stream twice.
#
# Behaviour: `create_subprocess_exec` accepts `close_fds` and ignores it, also its default True. So a child has every
#   descriptor of its parent that is inheritable. Python's own are private (PEP 446), but those that the parent has
#   inherited itself are not: a lock, a listening socket, the pipe of a program that waits for its end. In addition,
#   uvloop makes an inheritable copy of what becomes stdin, stdout and stderr, and the child keeps these copies under
#   other numbers. A child that closes its stdout therefore does not end the pipe: the reader gets no end of file before
#   the child exits.
# Upstream: "TODO: Implement close_fds" in uvloop/loop.pyx; no report found at the time of writing.
# Here: an agent makes its inherited descriptors private first (processes/inheritance.py), and starts executors with
#   `pass_fds`.
# Expected output, seen 2026-11-28 with Python 3.11.7; the child has these descriptors besides 0, 1 and 2:
#   asyncio, close_fds not given: none; end of file before the child exits: True
#   asyncio, close_fds=True: none; end of file before the child exits: True
#   uvloop, close_fds not given: the inherited pipe, copies of 0, 1, 2; end of file before the child exits: False
#   uvloop, close_fds=True: the inherited pipe, copies of 0, 1, 2; end of file before the child exits: False
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvloop==0.23.0
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE

import uvloop

CHILD = """
import os, sys
def refers_to(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None  # The directory itself, closed by now.
standard = {refers_to(fd): str(fd) for fd in range(3)}
others = [refers_to(int(fd)) for fd in os.listdir("/proc/self/fd") if int(fd) > 2]
others = [name for name in others if name]
copies = sorted(standard[name] for name in others if name in standard)
shown = [*(["the inherited pipe"] if sys.argv[1] in others else [])]
shown += ["copies of " + ", ".join(copies)] if copies else []
print(", ".join(shown) or "none", flush=True)
os.close(1)
sys.stdin.readline()
"""
NOTHING, EVERYTHING = "none", "the inherited pipe, copies of 0, 1, 2"


async def run(name, options):
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, inherited_name, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, **options
    )
    found = (await child.stdout.readline()).decode().strip()
    try:
        async with asyncio.timeout(2):
            await child.stdout.read()
        ended = True
    except TimeoutError:
        ended = False
    child.stdin.write(b"\n")
    await child.wait()
    what = f"close_fds={options['close_fds']}" if options else "close_fds not given"
    print(f"{name}, {what}: {found}; end of file before the child exits: {ended}")
    return found, ended


# As if this program had inherited a pipe from its parent, and nothing else.
os.closerange(3, 1024)
inherited, _ = os.pipe()
os.set_inheritable(inherited, True)
inherited_name = os.readlink(f"/proc/self/fd/{inherited}")
expected = {"asyncio": (NOTHING, True), "uvloop": (EVERYTHING, False)}
for name, factory in {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}.items():
    for options in ({}, {"close_fds": True}):
        with asyncio.Runner(loop_factory=factory) as runner:
            if runner.run(run(name, options)) != expected[name]:
                raise SystemExit("the behaviour has changed")
PY
