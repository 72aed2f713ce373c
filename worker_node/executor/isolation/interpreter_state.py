"""The state of the Python interpreter that a job can change for the jobs after it.

Hot path: it is read after each job of an operator's function, see docs/isolation.md#what-it-costs. Hence plain
expressions: a table of getters and setters takes five times as long.
"""

import _locale
import _socket
import gc
import logging
import os
import random
import sys
import tempfile
import threading
import time
import warnings
from typing import Any

# Attributes that these modules do not document. Python 3.11 to 3.13 have them.
_any_os: Any = os
_any_random: Any = random
_any_threading: Any = threading
_any_warnings: Any = warnings
_EVENTS = "asyncio.events"


class InterpreterState:
    """The state that each job finds."""

    def __init__(self) -> None:
        self._gauss_sample = reseed()
        self.keep()

    def keep(self) -> None:
        """Take the present state as the one to restore."""
        self._attributes = _attributes()
        self._settings = _settings()
        self._contents = tuple(type(content)(content) for content in _contents())
        self._event_loop = _event_loop()
        self._decimal_context = _decimal_context()
        self._stack_size = threading.stack_size()
        threading.stack_size(self._stack_size)  # To read it sets it to 0.

    def restore(self) -> None:
        """Restore what differs.

        Raises:
            Exception: something cannot be restored, for example because a standard stream is closed.
        """
        # Objects that are the same are not compared further. So this runs no code of the job's, unless it has to.
        if _attributes() != self._attributes:
            _set_attributes(self._attributes)
        # What a job has printed is out at its end. These raise if a stream is closed: other modules hold it, too.
        sys.stdout.flush()
        sys.stderr.flush()
        if sys.stdin.closed:
            raise ValueError("standard input is closed")
        if _settings() != self._settings:
            _set_settings(self._settings)
        if _contents() != self._contents:
            _set_contents(self._contents)
        if _event_loop() != self._event_loop:
            _set_event_loop(self._event_loop)
        threading.stack_size(self._stack_size)
        if _any_random._inst.gauss_next is not self._gauss_sample:
            self._gauss_sample = reseed()
        if "decimal" in sys.modules:
            _set_decimal_context(self._decimal_context)
        if "faulthandler" in sys.modules:
            _cancel_traceback_timer()


def reseed() -> Any:
    """Make the numbers of the module `random` unpredictable again; return the sample that `gauss` now keeps.

    The generator's state takes too long to compare. But `seed` and `setstate` also set that sample. So another one
    tells that a job has called one of these functions.
    """
    random.seed()
    random.gauss(0.0, 1.0)  # Makes two samples and keeps one for its next call.
    return _any_random._inst.gauss_next


def _attributes() -> tuple[Any, ...]:
    return (
        sys.stdin,
        sys.stdout,
        sys.stderr,
        sys.excepthook,
        sys.displayhook,
        sys.unraisablehook,
        sys.breakpointhook,
        sys.dont_write_bytecode,
        sys.path,
        sys.argv,
        sys.meta_path,
        sys.path_hooks,
        threading.excepthook,
        _any_threading._trace_hook,
        _any_threading._profile_hook,
        os.environ,
        tempfile.tempdir,
        _any_warnings.filters,
        warnings.showwarning,
        warnings.formatwarning,
        logging.root.handlers,
        logging.root.disabled,
    )


def _set_attributes(kept: tuple[Any, ...]) -> None:
    (
        sys.stdin,
        sys.stdout,
        sys.stderr,
        sys.excepthook,
        sys.displayhook,
        sys.unraisablehook,
        sys.breakpointhook,
        sys.dont_write_bytecode,
        sys.path,
        sys.argv,
        sys.meta_path,
        sys.path_hooks,
        threading.excepthook,
        _any_threading._trace_hook,
        _any_threading._profile_hook,
        os.environ,
        tempfile.tempdir,
        _any_warnings.filters,
        warnings.showwarning,
        warnings.formatwarning,
        logging.root.handlers,
        logging.root.disabled,
    ) = kept


def _settings() -> tuple[Any, ...]:
    return (
        sys.gettrace(),
        sys.getprofile(),
        sys.get_asyncgen_hooks(),
        sys.getrecursionlimit(),
        sys.getswitchinterval(),
        sys.get_int_max_str_digits(),
        gc.isenabled(),
        gc.get_threshold(),
        logging.root.level,
        logging.root.manager.disable,
        _socket.getdefaulttimeout(),
        _locale.setlocale(_locale.LC_ALL, None),
    )


def _set_settings(kept: tuple[Any, ...]) -> None:
    trace, profile, asyncgen, recursion, switch, digits, collects, thresholds, level, disabled, timeout, locale = kept
    sys.settrace(trace)
    sys.setprofile(profile)
    sys.set_asyncgen_hooks(*asyncgen)
    sys.setrecursionlimit(recursion)
    sys.setswitchinterval(switch)
    sys.set_int_max_str_digits(digits)
    (gc.enable if collects else gc.disable)()
    gc.set_threshold(*thresholds)
    logging.root.setLevel(level)  # It also empties the caches of all loggers.
    logging.root.manager.disable = disabled
    _socket.setdefaulttimeout(timeout)
    _locale.setlocale(_locale.LC_ALL, locale)


def _contents() -> tuple[Any, ...]:
    return sys.path, sys.argv, sys.meta_path, _any_warnings.filters, logging.root.handlers, _any_os.environ._data


def _set_contents(kept: tuple[Any, ...]) -> None:
    sys.path[:], sys.argv[:], sys.meta_path[:], _any_warnings.filters[:], logging.root.handlers[:], environment = kept
    _any_warnings._filters_mutated()
    present = _any_os.environ._data
    names = [name for name in {*present, *environment} if present.get(name) != environment.get(name)]
    for name in names:  # Through `os`, which also tells C code.
        if name in environment:
            os.environb[name] = environment[name]
        else:
            del os.environb[name]
    if b"TZ" in names:
        time.tzset()


def _event_loop() -> tuple[Any, ...]:
    """Return the running loop, the policy, and what it keeps for `asyncio.get_event_loop`."""
    events: Any = sys.modules.get(_EVENTS)
    if events is None:
        return (None,)
    policy = events._event_loop_policy
    if policy is None:  # As in a fresh process.
        return (events._get_running_loop(),)
    local = getattr(policy, "_local", None)
    return (
        events._get_running_loop(),
        policy,
        getattr(local, "_loop", None),
        getattr(local, "_set_called", False),
    )


def _set_event_loop(kept: tuple[Any, ...]) -> None:
    events: Any = sys.modules[_EVENTS]
    events._set_running_loop(kept[0])
    policy: Any = kept[1] if len(kept) > 1 else None
    events._event_loop_policy = policy
    if hasattr(policy, "_local"):
        policy._local._loop, policy._local._set_called = kept[2:]


def _decimal_context() -> Any:
    """Return a copy of the decimal context; None if that module is not imported."""
    decimal: Any = sys.modules.get("decimal")
    return None if decimal is None else decimal.getcontext().copy()


def _set_decimal_context(kept: Any) -> None:
    # To compare two contexts takes longer.
    decimal: Any = sys.modules["decimal"]
    decimal.setcontext(decimal.Context() if kept is None else kept.copy())


def _cancel_traceback_timer() -> None:
    sys.modules["faulthandler"].cancel_dump_traceback_later()
