"""Process 1 of a simulated instance: replaces cloud-init, systemd and the power button of a real one.

It runs the user data, then the units that `systemctl` requests. On SIGTERM or `shutdown` it stops the units in reverse
order and exits, which ends every process of the instance. Supported in [Service]: Type simple, exec, notify and
oneshot, ExecStartPre, ExecStart, ExecStop, ExecStopPost, Environment, EnvironmentFile, WorkingDirectory, User, Restart,
RestartSec, RestartPreventExitStatus, TimeoutStopSec, KillSignal, KillMode, AmbientCapabilities; and template units
(`name@instance`). All output goes to the console.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

UNITS = (Path("/etc/systemd/system"), Path("/usr/lib/systemd/system"))
USER_DATA = Path("/var/lib/cloud/instance/user-data.txt")
STOP_SECONDS = 90.0
UNKNOWN_UNIT = 5
NOT_ACTIVE = 3

Settings = dict[str, list[str]]


class Unit:
    """A service; at most one process of it runs at a time."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        self.stopping = False
        self.failed = False
        self.over = threading.Event()
        self.over.set()

    @property
    def active(self) -> bool:
        return not self.over.is_set()

    def start(self) -> int:
        """Start the service; return the exit status of the start."""
        if self.active:
            return 0
        self.stopping = False
        for line in self._lines("ExecStartPre"):
            if status := self._call(line):
                return status
        process = self.process = self._open(self._lines("ExecStart")[0])
        if self._one("Type", "simple") == "oneshot":
            return process.wait() or sum(map(self._call, self._lines("ExecStart")[1:]))
        self.over.clear()
        threading.Thread(target=self._watch, args=(process,), daemon=True).start()
        return 0

    def stop(self) -> None:
        self.stopping = True
        if self.process is None or self.process.poll() is not None:
            self.over.wait(STOP_SECONDS)
            return
        for line in self._lines("ExecStop"):
            self._call(line)
        main_process_only = self._one("KillMode", "control-group") in ("mixed", "process")
        for number in (getattr(signal, self._one("KillSignal", "SIGTERM")), signal.SIGKILL):
            send = os.kill if main_process_only and number != signal.SIGKILL else os.killpg
            with suppress(ProcessLookupError):
                send(self.process.pid, number)
            if self.over.wait(_seconds(self._one("TimeoutStopSec", str(STOP_SECONDS)))):
                return

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        status = process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        log(f"{self.name}: main process exited, status={status}")
        for line in self._lines("ExecStopPost"):
            self._call(line, {"EXIT_CODE": "killed" if status < 0 else "exited", "EXIT_STATUS": str(status)})
        restart = self._one("Restart", "no")
        if str(status) in self._one("RestartPreventExitStatus", "").split():
            restart = "no"
        self.failed = bool(status) and not self.stopping and restart == "no"
        if not self.stopping and (restart == "always" or (restart == "on-failure" and status)):
            time.sleep(_seconds(self._one("RestartSec", "0.1")) or 0.0)
            if not self.stopping:
                self.over.set()
                self.process = None
                self.start()
                return
        self.over.set()

    def _call(self, line: str, environ: dict[str, str] | None = None) -> int:
        status = self._open(line, environ).wait()
        return 0 if line.startswith("-") else status

    def _open(self, line: str, environ: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        command = line.lstrip("-+!@:")
        as_root = "+" in line[: len(line) - len(command)]
        user = "" if as_root else self._one("User", "")
        capabilities = ",".join(["-all", *(f"+{name[4:].lower()}" for name in self._words("AmbientCapabilities"))])
        become = ["setpriv", "--reuid", user, "--regid", user, "--init-groups"] if user else []
        if user:
            become += ["--inh-caps", capabilities, "--ambient-caps", capabilities]
        return subprocess.Popen(
            [*become, "/bin/bash", "-c", f"exec {command}"],
            env={**self._environ(), **(environ or {})},
            cwd=self._one("WorkingDirectory", "/"),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )

    def _environ(self) -> dict[str, str]:
        environ = dict(os.environ)
        for line in self._lines("Environment"):
            environ.update(map(_assignment, shlex.split(line)))
        for path in self._lines("EnvironmentFile"):
            if not path.startswith("-") or Path(path[1:]).exists():
                lines = Path(path.lstrip("-")).read_text().splitlines()
                words = (shlex.split(line) for line in lines if line.strip() and line.lstrip()[0] not in "#;")
                environ.update(_assignment("".join(word)) for word in words)
        return environ

    def _lines(self, key: str) -> list[str]:
        return self.settings.get(key, [])

    def _words(self, key: str) -> list[str]:
        return " ".join(self._lines(key)).split()

    def _one(self, key: str, default: str) -> str:
        return self._lines(key)[-1] if self._lines(key) else default


class Init:
    """The init process from the instance's boot to its power-off."""

    def __init__(self) -> None:
        self.units: dict[str, Unit] = {}
        self.ending = False

    def run(self) -> None:
        """Run until the instance powers off."""
        signal.signal(signal.SIGTERM, self._end)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("/run/init.sock")
        listener.listen(64)
        threading.Thread(target=self._listen, args=(listener,), daemon=True).start()
        threading.Thread(target=self._run_user_data, daemon=True).start()
        while not self.ending:
            time.sleep(0.05)
        log("powering off")
        for unit in reversed(list(self.units.values())):
            unit.stop()
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGTERM)
        log("off")

    def _end(self, *_: object) -> None:
        # Takes no lock: the interrupted thread may hold it.
        self.ending = True

    def _run_user_data(self) -> None:
        if USER_DATA.read_bytes().startswith(b"#!"):
            USER_DATA.chmod(0o700)
            status = subprocess.call([str(USER_DATA)], cwd="/", stdin=subprocess.DEVNULL)
            log(f"user data exited, status={status}")

    def _listen(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            answer = self._handle(json.loads(connection.makefile().readline()))
            with suppress(BrokenPipeError):  # a client that requested the power-off does not wait for an answer
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _handle(self, request: list[str]) -> tuple[int, str]:
        options = {word for word in request if word.startswith("-")}
        verb, *names = [word for word in request if word not in options] or [""]
        if verb in ("poweroff", "halt"):
            self._end()
        if verb == "enable":
            verb = "start" if "--now" in options else ""
        worst, text = 0, ""
        for name in names:
            if "." in name and not name.endswith(".service"):
                continue  # timers, sockets and targets
            status, said = self._do(verb, name if name.endswith(".service") else f"{name}.service")
            worst, text = max(worst, status), text + said
        return worst, text

    def _do(self, verb: str, name: str) -> tuple[int, str]:
        if verb == "is-active":
            active = name in self.units and self.units[name].active
            return (0, "active\n") if active else (NOT_ACTIVE, "inactive\n")
        if verb == "is-failed":
            failed = name in self.units and self.units[name].failed
            return (0, "failed\n") if failed else (1, "active\n")
        if verb in ("stop", "restart", "try-restart") and name in self.units:
            self.units[name].stop()
        if verb in ("start", "restart"):
            settings = read_unit(name)
            if settings is None:
                return UNKNOWN_UNIT, f"Unit {name} not found.\n"
            if name not in self.units or not self.units[name].active:
                self.units[name] = Unit(name, settings)
            status = self.units[name].start()
            log(f"{name}: started, status={status}")
            return (1 if status else 0), ""
        return 0, ""


def read_unit(name: str) -> Settings | None:
    """Return a unit's settings, each with its values in order; None if there is no such unit."""
    template, _, instance = name.removesuffix(".service").partition("@")
    names = [name, f"{template}@.service"] if instance else [name]
    path = next((place / found for found in names for place in UNITS if (place / found).exists()), None)
    if path is None:
        return None
    settings: Settings = {}
    for line in path.read_text().replace("\\\n", " ").splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith(("#", ";")):
            value = value.strip().replace("%i", instance).replace("%n", name).replace("%%", "%")
            settings[key] = [*settings.get(key, []), value] if value else []
    return settings


def _assignment(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _seconds(text: str) -> float | None:
    if text == "infinity":
        return None
    units = {"ms": 0.001, "min": 60.0, "s": 1.0}
    for suffix, factor in units.items():
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)


def log(text: str) -> None:
    """Write a line to the console."""
    sys.stdout.write(f"[init] {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    socket.sethostname(os.environ.pop("INSTANCE_HOSTNAME"))
    Init().run()
