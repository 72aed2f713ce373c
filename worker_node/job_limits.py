"""Limits of what a job may use, from the setting WORKMANAGER_JOB_LIMITS.

`memory=512MiB,cpu=60,files=256,processes=16; app.render: memory=4GiB,cpu=600`: first the limits of all functions, then
those that are different for some.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

SETTING = "WORKMANAGER_JOB_LIMITS"
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_MAX = 1 << 50


@dataclass(frozen=True, slots=True)
class JobLimits:
    """Limits of one job; None for no limit.

    Attributes:
        memory: bytes that each process of the job may allocate, beyond what its executor had when the job began.
        cpu: seconds of processor time of all its processes.
        files: how many files and sockets it may have open at a time.
        processes: how many processes it may have at a time besides its own.
    """

    memory: int | None = None
    cpu: int | None = None
    files: int | None = None
    processes: int | None = None

    def exceeded(self, name: str) -> str:
        """Return the sentence for a job that has exceeded the limit of that name."""
        what = {
            "memory": f"its memory limit of {_size(self.memory or 0)}",
            "cpu": f"its limit of {self.cpu} seconds of processor time",
            "files": f"its limit of {self.files} open files",
            "processes": f"its limit of {self.processes} processes",
        }[name]
        return f"the job used more than {what} ({SETTING})"

    def hint(self) -> str:
        """Return what to add to the message of a job whose process has died: C code ends it when it gets no memory."""
        if self.memory is None:
            return ""
        return f"; it may have reached its memory limit of {_size(self.memory)} ({SETTING})"


NO_LIMITS = JobLimits()
NAMES = ("memory", "cpu", "files", "processes")


@dataclass(frozen=True, slots=True)
class LimitTable:
    """The limits of all functions.

    Attributes:
        text: the setting that they come from.
    """

    text: str = ""
    default: JobLimits = NO_LIMITS
    by_function: Mapping[str, JobLimits] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.text)

    @property
    def counts_processes(self) -> bool:
        """Whether some function's processes are limited."""
        return any(limits.processes is not None for limits in (self.default, *self.by_function.values()))

    def of(self, function: str) -> JobLimits:
        """Return the limits of a function, by its public name."""
        return self.by_function.get(function, self.default)

    @classmethod
    def parse(cls, text: str) -> "LimitTable":
        """Return the limits that a setting names.

        Raises:
            ValueError: it has another form.
        """
        default = NO_LIMITS
        by_function: dict[str, JobLimits] = {}
        for part in filter(None, map(str.strip, text.split(";"))):
            function, colon, limits = part.rpartition(":")
            function = function.strip()
            if not colon:
                if default != NO_LIMITS or by_function:
                    raise ValueError(f"{part!r}: the limits of all functions come first, and once")
                default = _parse_limits(limits, NO_LIMITS)
            elif not function or function in by_function:
                raise ValueError(f"{part!r} must begin with the name of a function that has no limits yet")
            else:
                by_function[function] = _parse_limits(limits, default)
        return cls(text.strip(), default, by_function)


def _parse_limits(text: str, base: JobLimits) -> JobLimits:
    given: dict[str, int] = {}
    for pair in text.split(","):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in NAMES or name in given:
            raise ValueError(
                f"{pair.strip()!r}: a limit has the form NAME=NUMBER; names: {', '.join(NAMES)}, each once"
            )
        given[name] = _number(name, value)
    return replace(base, **given)


def _number(name: str, value: str) -> int:
    number, unit = value, 1
    if name == "memory":
        for suffix, factor in _UNITS.items():
            if value.endswith(suffix):
                number, unit = value.removesuffix(suffix).strip(), factor
        if unit == 1:
            raise ValueError(f"memory={value!r}: must end in {', '.join(_UNITS)}")
    lowest = 0 if name == "processes" else 1
    if not (number.isascii() and number.isdecimal() and len(number) < 16 and lowest <= int(number) * unit <= _MAX):
        raise ValueError(f"{name}={value!r}: must be a whole number, at least {lowest}")
    return int(number) * unit


def _size(size_bytes: int) -> str:
    for name, factor in reversed(_UNITS.items()):
        if size_bytes % factor == 0:
            return f"{size_bytes // factor} {name}"
    return f"{size_bytes} bytes"


NO_LIMIT_TABLE = LimitTable()
