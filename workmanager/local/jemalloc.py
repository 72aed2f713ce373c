"""The memory allocator of the embedded Valkey, whose build has none of its own.

Redis and Valkey are made for jemalloc, and distributions' packages have it. With glibc's allocator a job takes 21 us of
the server in a heap without gaps, and 32 to 37 in one with many, where jemalloc takes 20 to 22 in both
(benchmarks/README.md, `worker_noop`).
"""

from __future__ import annotations

import ctypes.util
import functools
import sys
from collections.abc import Mapping

# glibc's cache of 7 freed pieces of each size is soon empty under scripts that touch hundreds of jobs, and what lies
# beyond it is slow. At most 270 MB can come to lie in it.
_GLIBC = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=8000"}


def environment_variables() -> Mapping[str, str]:
    """What the server is started with: jemalloc where this machine has it, else glibc's allocator with more cache."""
    library = _jemalloc()
    return {"LD_PRELOAD": library} if library else _GLIBC


@functools.cache
def _jemalloc() -> str | None:
    """The library's name, as the dynamic linker finds it (Debian: package libjemalloc2)."""
    return ctypes.util.find_library("jemalloc") if sys.platform == "linux" else None
