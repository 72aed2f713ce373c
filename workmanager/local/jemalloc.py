"""jemalloc for the embedded Valkey server, whose build uses glibc's memory allocator.

Redis and Valkey are designed for jemalloc; distribution packages are linked with it. With glibc's allocator a job costs
21 us of server time in an unfragmented heap, and 32 to 37 us in a fragmented one. With jemalloc it costs 20 to 22 us in
both (benchmarks/README.md, `worker_noop`).
"""

import ctypes.util
import functools
import sys
from collections.abc import Mapping
from types import MappingProxyType

GLIBC_TUNABLES: Mapping[str, str] = MappingProxyType({"GLIBC_TUNABLES": "glibc.malloc.tcache_count=8000"})
"""A larger cache of freed blocks. The default of 7 blocks per size runs empty when a script touches hundreds of jobs,
and glibc is slow without it. The cache can hold at most 270 MB."""


def environment_variables() -> Mapping[str, str]:
    """Return the server's environment: jemalloc if this machine has it, else glibc's allocator with a larger cache."""
    library = _jemalloc()
    return {"LD_PRELOAD": library} if library else GLIBC_TUNABLES


@functools.cache
def _jemalloc() -> str | None:
    """Return the library's name for the dynamic linker (Debian: package libjemalloc2)."""
    return ctypes.util.find_library("jemalloc") if sys.platform == "linux" else None
