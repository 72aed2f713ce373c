"""Job functions that change their process and leave it so, and one that describes the process as it finds it."""

import asyncio
import contextvars
import decimal
import faulthandler
import gc
import locale
import logging
import os
import random
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

_variable = contextvars.ContextVar("_variable", default="unset")


def describe() -> dict[str, Any]:
    """Return everything that the functions below change, as far as JSON can show it."""
    return {
        "directory": _or_error(os.getcwd),
        "umask": _umask(),
        "handlers": [repr(signal.getsignal(number)) for number in range(1, signal.SIGSYS + 1)],
        "mask": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        "timers": [signal.getitimer(each) for each in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)],
        "streams": [_or_error(lambda each=each: each.write("")) for each in (sys.stdout, sys.stderr)],
        "standard input": _or_error(sys.stdin.read),
        "descriptors": [_or_error(lambda fd=fd: list(os.fstat(fd))[:3]) for fd in range(3)],
        "event loop": _or_error(_event_loop),
        "tracing": [repr(each()) for each in (sys.gettrace, sys.getprofile, threading.gettrace, threading.getprofile)],
        "environment": {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "environment of C code": os.popen("echo $SPOILED $HOME").read(),
        "context": _variable.get(),
        "locale": locale.setlocale(locale.LC_ALL),
        "decimal context": repr(decimal.getcontext()),
        "paths": [sys.path, sys.argv],
        "hooks": [repr(each) for each in (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook)],
        "warnings": repr(warnings.filters),
        "settings": [sys.getrecursionlimit(), sys.getswitchinterval(), socket.getdefaulttimeout()],
        "stack size": threading.stack_size(),
        "garbage collection": [gc.isenabled(), gc.get_threshold()],
        "logging": [logging.root.level, repr(logging.root.handlers), logging.root.manager.disable],
        "temporary directory": tempfile.gettempdir(),
        "time zone": time.tzname,
        "resource limits": [resource.getrlimit(each) for each in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS)],
        "user": os.geteuid(),
    }


def sample() -> float:
    """Return a random number."""
    return random.random()


def describe_rare() -> dict[str, Any]:
    """Return what is looked at now and then."""
    return {
        "niceness": os.nice(0),
        "processors": len(os.sched_getaffinity(0)),
        "real-time signal": repr(signal.getsignal(signal.SIGRTMIN)),
    }


def into_a_directory_that_is_removed() -> None:
    path = tempfile.mkdtemp()
    os.chdir(path)
    shutil.rmtree(path)


def umask() -> None:
    os.umask(0o777)


def handler() -> None:
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def mask() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGUSR2})


def timers() -> None:
    signal.signal(signal.SIGALRM, _raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    signal.signal(signal.SIGPROF, _raise_timeout)
    signal.setitimer(signal.ITIMER_PROF, 30)


def wakeup_descriptor() -> None:
    signal.set_wakeup_fd(os.open(os.devnull, os.O_WRONLY | os.O_NONBLOCK))


def close_standard_output() -> None:
    sys.stdout.close()


def detach_standard_error() -> None:
    sys.stderr.detach()


def close_standard_input() -> None:
    sys.stdin.close()


def replace_standard_streams() -> None:
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    sys.stdout.close()


def close_standard_descriptors() -> None:
    for fd in range(3):
        os.close(fd)


def redirect_standard_descriptors() -> None:
    fd = os.open(os.devnull, os.O_WRONLY)
    for each in range(3):
        os.dup2(fd, each)


async def coroutine() -> None:
    await asyncio.sleep(0)


def event_loop_policy() -> None:
    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            raise RuntimeError("the policy of another job")

    asyncio.set_event_loop_policy(Policy())


def running_event_loop() -> None:
    asyncio._set_running_loop(asyncio.new_event_loop())


def closed_event_loop() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.close()


def trace() -> None:
    sys.settrace(_trace)
    sys.setprofile(_trace)
    threading.settrace(_trace)
    threading.setprofile(_trace)


def environment() -> None:
    os.environ["SPOILED"] = "yes"
    del os.environ["HOME"]
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()


def replace_environment() -> None:
    os.environ = {}  # type: ignore[assignment]  # noqa: B003


def context_variable() -> None:
    _variable.set("spoiled")


def set_locale() -> None:
    locale.setlocale(locale.LC_ALL, "C")


def decimal_precision() -> None:
    decimal.getcontext().prec = 3
    decimal.getcontext().traps[decimal.Inexact] = True


def paths() -> None:
    sys.path.insert(0, "/nowhere")
    sys.argv.append("--spoiled")


def hooks() -> None:
    sys.excepthook = sys.displayhook = sys.unraisablehook = threading.excepthook = _trace


def warning_filters() -> None:
    warnings.simplefilter("error")


def settings() -> None:
    sys.setrecursionlimit(300)
    sys.setswitchinterval(1.0)
    socket.setdefaulttimeout(0.001)
    threading.stack_size(64 * 1024)


def garbage_collection() -> None:
    gc.disable()
    gc.set_threshold(1)


def log_set_up() -> None:
    logging.basicConfig(level=logging.DEBUG)
    logging.disable(logging.CRITICAL)


def temporary_directory() -> None:
    os.environ["TMPDIR"] = path = tempfile.mkdtemp()
    tempfile.tempdir = None
    tempfile.gettempdir()
    shutil.rmtree(path)


def resource_limits() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 40, resource.getrlimit(resource.RLIMIT_AS)[1]))


def effective_user() -> None:
    os.seteuid(65534)


def traceback_timer() -> None:
    faulthandler.dump_traceback_later(0.2, exit=True)


def niceness_and_processors() -> None:
    os.nice(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    signal.signal(signal.SIGRTMIN, _raise_timeout)


def seed() -> None:
    random.seed(1)


def seed_by_state() -> None:
    random.setstate(random.Random(1).getstate())


def _raise_timeout(*_: Any) -> None:
    raise TimeoutError("the timer of another job")


def _trace(*_: Any) -> None:
    return None


def _or_error(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - it is the answer
        return repr(error)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def _event_loop() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loop = asyncio.get_event_loop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    return type(loop).__name__
