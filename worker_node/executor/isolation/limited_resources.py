"""Limits on the memory and the open files of one job, by the soft limits of its process."""

import errno
import os
import resource
from collections.abc import Callable
from contextlib import suppress

from worker_node.executor.isolation.descriptors import count_descriptors
from worker_node.job_limits import JobLimits

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_DATA_FIELD = 5
"""Of /proc/PID/statm: pages of data and stack."""
_MAX_CHAIN = 100


def limit_resources(limits: JobLimits) -> Callable[[], None]:
    """Limit this process, beyond what it uses now; return what ends that."""
    wanted = {}
    if limits.memory is not None:
        wanted[resource.RLIMIT_DATA] = _data_bytes() + limits.memory
    if limits.files is not None:
        wanted[resource.RLIMIT_NOFILE] = count_descriptors() + limits.files
    before = {limit: resource.getrlimit(limit) for limit in wanted}
    for limit, soft in wanted.items():
        old, most = before[limit]
        allowed = [each for each in (soft, old, most) if each != resource.RLIM_INFINITY]
        resource.setrlimit(limit, (min(allowed), most))

    def end() -> None:
        for limit, (soft, _) in before.items():
            resource.setrlimit(limit, (soft, resource.getrlimit(limit)[1]))

    return end


def note_limit(error: BaseException, limits: JobLimits) -> None:
    """Add a note to an exception that a limit has caused."""
    if sentence := exceeded_limit(error, limits):
        with suppress(Exception):  # Notes are an attribute that the exception's own code can spoil.
            BaseException.add_note(error, sentence)


def exceeded_limit(error: BaseException, limits: JobLimits) -> str:
    """Return a sentence if an exception, or one that it comes from, is what a process gets at a limit; else ''."""
    current: BaseException | None = error
    for _ in range(_MAX_CHAIN):
        if current is None:
            break
        number = current.errno if isinstance(current, OSError) else None
        if limits.memory is not None and (isinstance(current, MemoryError) or number == errno.ENOMEM):
            return limits.exceeded("memory")
        if limits.files is not None and number == errno.EMFILE:
            return limits.exceeded("files")
        current = current.__cause__ or current.__context__
    return ""


def _data_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[_DATA_FIELD]) * _PAGE_BYTES
