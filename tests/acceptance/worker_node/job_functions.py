"""Job functions for tests; many of them misbehave in a way that must not harm other jobs."""

import asyncio
import copy
import ctypes
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rq import Retry, get_current_job

import workmanager.job
from worker_node.executor.running_job import current
from worker_node.functions import PermanentError


def noop() -> None:
    pass


def pid() -> int:
    return os.getpid()


def note(path: str, text: str) -> None:
    """Append a line to a file, which shows how often the job ran."""
    with Path(path).open("a") as file:
        file.write(text + "\n")


def note_then_wait(path: str, text: str, until: str) -> None:
    """Note the start, then run until a file exists."""
    note(path, text)
    while not Path(until).exists():
        time.sleep(0.01)


def note_pid_then_wait(path: str, until: str) -> None:
    """Note the process id, then run until a file exists."""
    note_then_wait(path, str(os.getpid()), until)


def segfault() -> None:
    ctypes.string_at(0)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave_at_once(code: int) -> None:
    os._exit(code)


def close_every_file() -> None:
    os.closerange(3, 256)


def sys_exit() -> None:
    sys.exit("enough")


def fail(message: str) -> None:
    raise ValueError(message)


def fail_twice(path: str) -> str:
    note(path, "run")
    runs = len(Path(path).read_text().splitlines())
    if runs < 3:
        raise ValueError(f"run {runs}")
    return "done"


class UnprintableError(Exception):
    """An exception whose own code raises whatever it is asked."""

    @property
    def __notes__(self) -> Any:
        raise RuntimeError

    def __str__(self) -> str:
        raise SystemExit


ODD_EXCEPTIONS: dict[str, BaseException] = {
    "syntax error of bytes": SyntaxError("x", ("f", 1, 2, b"t")),  # type: ignore[arg-type]
    "unprintable": UnprintableError(),
    "surrogates": ValueError("\ud800"),
    "huge": ValueError("x" * 50_000_000),
    "base exception": BaseException("bare"),
}


def raise_odd(name: str) -> None:
    raise ODD_EXCEPTIONS[name]


def ask_for_odd_retries() -> Retry:
    return Retry(max=10**30, interval=[10**30])


async def fail_in_a_task_group(permanent: bool) -> None:
    async def fail() -> None:
        raise PermanentError("no use") if permanent else ValueError("boom\nsecond line")

    async with asyncio.TaskGroup() as group:
        group.create_task(fail())


def fail_for_good() -> None:
    raise PermanentError("no use")


def fail_deeply(depth: int) -> None:
    if depth == 0:
        raise ValueError("x" * 100_000)
    fail_deeply(depth - 1)


def loop_for_ever() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


def leave_an_alarm_behind() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0.05)


def terminate_itself() -> str:
    os.kill(os.getpid(), signal.SIGTERM)
    return "still here"


def wait(seconds: float) -> None:
    time.sleep(seconds)


def shout(lines: int) -> int:
    for _ in range(lines):
        print("out " + "x" * 100)  # noqa: T201
        sys.stderr.write("err " + "x" * 100 + "\n")
    os.write(1, b"raw\n")
    return lines


def start_threads() -> None:
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(60,)).start()


def start_a_process() -> int:
    return subprocess.Popen(["sleep", "60"], start_new_session=False).pid


def start_a_process_and_wait(path: str) -> None:
    note(path, str(start_a_process()))
    time.sleep(60)


def fork_and_return() -> int:
    os.fork()
    return os.getpid()


def unserialisable() -> Any:
    return threading.Lock()


def nan() -> float:
    return float("nan")


def large(size: int) -> str:
    return "x" * size


def take_memory(mebibytes: int) -> None:
    globals()["kept"] = b"x" * (mebibytes << 20)


async def coroutine(value: int) -> int:
    await asyncio.sleep(0)
    return value


def generator(notes: str) -> Iterator[int]:
    Path(notes).write_text("driven")
    yield 1


def ask_for_another_try() -> Retry:
    return Retry(max=2, interval=[1, 5], enqueue_at_front=True)


def count_in_meta() -> Any:
    job = get_current_job()
    assert job is not None
    job.meta["count"] = job.meta.get("count", 0) + 1
    job.save_meta()
    job.refresh()
    return [job.id, job.get_status().value, job.get_meta(), job.origin, job.func_name]


def save_meta_from_a_thread() -> Any:
    job = get_current_job()
    assert job is not None
    seen: list[str] = []

    def work(number: int) -> None:
        job.meta[str(number)] = number
        job.save_meta()
        seen.append(job.get_status().value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    job.save_meta()
    return [sorted(job.get_meta()), sorted(set(seen))]


def progress(until: str) -> None:
    """Save progress in the job's meta, then run until a file exists."""
    job = get_current_job()
    assert job is not None
    job.meta["progress"] = 50
    job.save_meta()
    while not Path(until).exists():
        time.sleep(0.01)


def assign_meta() -> Any:
    job = get_current_job()
    assert job is not None
    job.meta = {"p": 42}
    job.save_meta()
    twin = copy.copy(job)
    return [twin.id, twin.meta, twin.get_meta(), twin.get_status().value]


def use_redis_of_the_job() -> None:
    job = get_current_job()
    assert job is not None
    job.connection.set("a", "b")


def change_its_status() -> None:
    job = get_current_job()
    assert job is not None
    job.set_status("finished")


def write_into_every_socket(text: str = "\xff" * 64) -> None:
    for fd in range(3, 1024):  # Their numbers depend on how many the test itself has open.
        try:
            if os.path.stat.S_ISSOCK(os.fstat(fd).st_mode):  # type: ignore[attr-defined]
                os.write(fd, text.encode("latin-1"))
        except OSError:
            continue


def retry_without_pause() -> Retry:
    return Retry(max=2)


class Greeter:
    """A class whose bound methods RQ clients enqueue as jobs."""

    def __init__(self, word: str) -> None:
        self.word = word

    def greet(self, name: str) -> str:
        return f"{self.word} {name}"

    def __call__(self, name: str) -> str:
        return self.greet(name)


def environment() -> dict[str, str]:
    """Return the environment variables of the process."""
    return dict(os.environ)


def read_the_agent() -> dict[str, str]:
    """Try to look into the agent as a process of the same user could; return what came of each attempt."""
    agent = Path(f"/proc/{os.getppid()}")
    attempts: dict[str, Callable[[], object]] = {
        "environment": (agent / "environ").read_bytes,
        "memory": (agent / "mem").open,
        "map of its memory": (agent / "maps").read_bytes,
        "a descriptor": (agent / "fd/0").open,
        "working directory": (agent / "cwd").readlink,
        "program": (agent / "exe").readlink,
        "trace": lambda: _trace(os.getppid()),
    }
    found = {}
    for name, attempt in attempts.items():
        try:
            found[name] = repr(attempt())
        except PermissionError as error:
            found[name] = type(error).__name__
    return found


def read_itself() -> str:
    """Open what only the owner of a process may open, and return the user."""
    for name in ("environ", "mem"):
        Path(f"/proc/self/{name}").open("rb").close()
    return str(os.geteuid())


def _trace(pid: int) -> None:
    seize = 0x4206  # PTRACE_SEIZE of <sys/ptrace.h>: it does not stop the process.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(seize, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def open_descriptors() -> dict[str, str]:
    """Return what each descriptor of the process refers to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # The one that lists.
            continue
    return found


def shut_everything_down() -> None:
    """Do to every descriptor what other processes that share it would notice."""
    for fd in range(64):
        try:
            os.set_blocking(fd, False)
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                twin = socket.socket(fileno=os.dup(fd))
                twin.shutdown(socket.SHUT_RDWR)
                twin.close()
        except OSError:
            continue


def start_daemon(path: str, stay: bool) -> None:
    """Start a process as daemons are, by two forks and a session of its own, and one more in each generation."""
    if os.fork() == 0:
        os.setsid()
        for _ in range(2):
            if os.fork() == 0:
                note(path, str(os.getpid()))
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(600)
        os._exit(0)
    while not Path(path).exists() or len(Path(path).read_text().splitlines()) < 2:
        time.sleep(0.001)
    if stay:
        time.sleep(600)


def living(path: str) -> list[str]:
    """Return which of the processes that a file names there are."""
    return [pid for pid in Path(path).read_text().split() if Path("/proc", pid).exists()]


def kill_itself_after_a_daemon(path: str) -> None:
    start_daemon(path, False)
    kill_itself()


def what_is_shared() -> tuple[list[str], list[str]]:
    """Return what this process has open, and the lines of its memory map."""
    paths = [os.readlink(each) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()]
    return paths, Path("/proc/self/maps").read_text().splitlines()


def keep_descriptors(count: int) -> int:
    """Leave descriptors open; return how many files could be opened."""
    for opened in range(count):
        try:
            os.dup(0)
        except OSError:
            return opened
    return count


def leave_threads(count: int) -> None:
    for _ in range(count):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def leave_zombie() -> None:
    subprocess.Popen(["true"])
    time.sleep(0.05)


def change_a_global() -> int:
    """Return how often this module's state has been changed before."""
    calls = int(globals().get("calls", 0))
    globals()["calls"] = calls + 1
    return calls


def parents_pid() -> list[int]:
    return [os.getpid(), os.getppid()]


def close_standard_streams() -> None:
    sys.stdout.close()
    sys.stderr.close()
    os.closerange(0, 256)


def hold_its_sockets_in_another_process() -> None:
    """Leave a process that has all descriptors, and die."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
    os._exit(7)


def write_garbage_to_its_executor(text: str) -> None:
    """Write into every socket, and stay until killed: the next job of the executor cannot begin before that."""
    write_into_every_socket(text)
    time.sleep(600)


def random_number() -> float:
    return random.random()


def allocate(mebibytes: int) -> int:
    return len(b"x" * (mebibytes << 20))


def use_processor(seconds: float) -> None:
    while time.process_time() < seconds:
        pass


def open_files(count: int) -> int:
    return len([open(os.devnull) for _ in range(count)])


def start_processes(count: int) -> None:
    processes = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(count)]
    for process in processes:
        process.wait()


def abort_without_memory(mebibytes: int) -> None:
    """Do as C code does that gets no memory."""
    try:
        allocate(mebibytes)
    except MemoryError:
        os.abort()


def noop_with_none() -> None:
    pass


def read_parents() -> Any:
    return [workmanager.job.id(), workmanager.job.parent_results()]


def answer_with_bytes(size: int) -> str:
    """Return a text whose result has this size."""
    return "x" * (size - 2)


def measure_parents() -> Any:
    return {parent: value and len(value) for parent, value in workmanager.job.parent_results().items()}


def read_a_foreign_result() -> Any:
    running = current.job
    assert running is not None
    return running.agent.query(running.sequence, "parent", "secret", b"")


def tell_and_wait() -> None:
    workmanager.job.progress(1, 3, "tile ü")
    workmanager.job.log("first")
    workmanager.job.log("two\nlines")
    time.sleep(60)


def tell_and_fail() -> None:
    workmanager.job.log("before the failure")
    raise ValueError("failure")


def print_megabytes(megabytes: int) -> None:
    block = (b"x" * 99 + b"\n") * 10_000
    for _ in range(megabytes):
        os.write(1, block)


def print_a_secret_and_fail() -> None:
    print("password=hunter2, key ACME-1234567")  # noqa: T201
    workmanager.job.log("token: hunter2")
    raise ValueError("failure")


def track_three() -> int:
    return sum(1 for _ in workmanager.job.track([1, 2, 3]))


def tell_a_lot(lines: int) -> None:
    for number in range(lines):
        workmanager.job.log(f"{number} " + "x" * 3000)


def tell_nonsense() -> None:
    workmanager.job.progress(float("nan"))


def be_rate_limited(key: str, path: str) -> str:
    if not os.path.exists(path):
        Path(path).write_text("tried")
        raise workmanager.job.RateLimited(key, 1.0)
    return "done"
