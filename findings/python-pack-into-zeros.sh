#!/usr/bin/env bash
# CPython 3.11: `struct.pack_into` first fills its part of the buffer with zeros, and then stores the values.
#
# Behaviour: a process that reads a number from shared memory can see 0 while another process stores a number with
#   `pack_into`, although neither the old nor the new one is 0. That holds for the function and for `Struct.pack_into`,
#   in native alignment, too. No other value was seen in between. With a memoryview that is cast to the number's type,
#   nothing was seen in between, nor with a slice that is assigned packed bytes.
# Upstream: python/cpython#156866, open at the time of writing, asks for a word on it in the documentation.
# Here: executors and agents share numbers in memory, and store them through a memoryview
#   (worker_node/ipc/status_page.py). A zero had an agent replace a sound executor.
# Expected output, seen 2026-11-28 with CPython 3.11.7 on two cores; the shares vary:
#   struct.pack_into: 9.3 % of reads saw 0
#   Struct.pack_into: 12.6 % of reads saw 0
#   slice of packed bytes: 0.0 % of reads saw 0
#   memoryview: 0.0 % of reads saw 0
set -euo pipefail
python3 - <<'PY'
import mmap
import os
import signal
import struct
import time

VALUE = 0x1111111111111111
SECONDS = 2.0
NATIVE = struct.Struct("@Q")


def by_slice(memory, numbers):
    memory[:8] = NATIVE.pack(VALUE)


def by_memoryview(memory, numbers):
    numbers[0] = VALUE


STORES = {
    "struct.pack_into": lambda memory, numbers: struct.pack_into("@Q", memory, 0, VALUE),
    "Struct.pack_into": lambda memory, numbers: NATIVE.pack_into(memory, 0, VALUE),
    "slice of packed bytes": by_slice,
    "memoryview": by_memoryview,
}


def share_of_zeros(store):
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    numbers = memoryview(memory).cast("Q")
    numbers[0] = VALUE
    reader = os.getpid()
    writer = os.fork()
    if writer == 0:
        while os.getppid() == reader:
            for _ in range(1000):
                store(memory, numbers)
        os._exit(0)
    reads = zeros = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for _ in range(1000):
            seen = numbers[0]
            reads += 1
            if seen == 0:
                zeros += 1
            elif seen != VALUE:
                raise SystemExit(f"the behaviour has changed: read {seen:#x}")
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    return zeros / reads


for name, store in STORES.items():
    share = share_of_zeros(store)
    print(f"{name}: {share:.1%} of reads saw 0".replace("%", " %"))
    if (share > 0) != name.endswith("pack_into"):
        raise SystemExit("the behaviour has changed")
PY
