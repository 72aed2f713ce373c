"""Which system a command talks to, and with which key: from options, the environment, or a file of settings.

A key goes only where it belongs: one that stands in the file is used with the URL that stands beside it, and with no
other. If a context is named that has none, the environment's key is not sent either.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from workmanager.errors import UsageError

DEFAULT_URL = "http://127.0.0.1:5000"
DEFAULT_FILE = "~/.config/workmanager/config.yaml"
KEY_COMMAND_SECONDS = 60
"""A person may have to unlock what gives the key."""
CONTEXT_NAMES = ("url", "api_key", "api_key_file", "api_key_command")


class Target(NamedTuple):
    """A system's managers, and the key for them."""

    urls: Sequence[str]
    key: str | None


def find_target(
    environ: Mapping[str, str],
    *,
    urls: Sequence[str] | None = None,
    key: str | None = None,
    key_file: str | None = None,
    context: str | None = None,
    config: str | None = None,
) -> Target:
    """Return the system that options, or else the environment, or else the file of settings describe.

    A context that is named (`--context`, `WORKMANAGER_CONTEXT`) counts more than the environment's URL and key.

    Raises:
        UsageError: a file cannot be used, there is no such context, or the command for the key fails.
    """
    given_key = key or (None if key_file is None else _read_key(key_file, "--key-file"))
    of_environ = {name: environ.get(f"WORKMANAGER_{name.upper()}") for name in CONTEXT_NAMES}
    if urls:
        return Target(_split(urls), given_key or _key_of(of_environ))
    named = context or environ.get("WORKMANAGER_CONTEXT")
    if of_environ["url"] and not named:
        return Target(_split([of_environ["url"]]), given_key or _key_of(of_environ))
    path, entries = _read_file(environ, config)
    name = named or entries.get("context")
    settings = entries if name is None else _context(path, entries, name)
    key_there = given_key or (None if named else _key_of(of_environ)) or _key_of(settings, path)
    return Target(_urls(settings.get("url"), path), key_there)


def contexts_of(environ: Mapping[str, str], config: str | None) -> tuple[Mapping[str, Mapping[str, Any]], str | None]:
    """Return the contexts of the file by name, and the name of the one that is used if none is named.

    Raises:
        UsageError: the file cannot be used.
    """
    path, entries = _read_file(environ, config)
    contexts = {str(name): _context(path, entries, name) for name in entries.get("contexts") or {}}
    return contexts, environ.get("WORKMANAGER_CONTEXT") or entries.get("context")


def _read_file(environ: Mapping[str, str], config: str | None) -> tuple[str, Mapping[str, Any]]:
    """Return the path and the entries of the file; it must exist only if it is named."""
    path = config or environ.get("WORKMANAGER_CONFIG")
    if path is None:
        home = environ.get("XDG_CONFIG_HOME")
        path = os.path.join(home, "workmanager", "config.yaml") if home else DEFAULT_FILE
        if not os.path.isfile(os.path.expanduser(path)):
            return path, {}
    from processes.settings_file import SettingsFileError, read_settings_file  # Here, because most have no file.

    try:
        return path, read_settings_file(path)
    except SettingsFileError as error:
        raise UsageError(str(error)) from error


def _context(path: str, entries: Mapping[str, Any], name: Any) -> Mapping[str, Any]:
    contexts = entries.get("contexts") or {}
    if not isinstance(contexts, dict) or not all(isinstance(each, dict) for each in contexts.values()):
        raise UsageError(f"{path}: contexts must be a mapping of names to their url, api_key_file, …")
    if name not in contexts:
        there = f"; there are {', '.join(map(str, contexts))}" if contexts else ""
        raise UsageError(f"{path} has no context {name!r}{there}")
    context: Mapping[str, Any] = contexts[name]
    for entry in context:
        if entry not in CONTEXT_NAMES:
            raise UsageError(
                f"{path}: context {name!r} has an entry {entry!r}, which is none of {', '.join(CONTEXT_NAMES)}"
            )
    if "url" not in context:
        raise UsageError(f"{path}: context {name!r} has no url")
    return context


def _key_of(settings: Mapping[str, Any], path: str = "") -> str | None:
    """Return the key: as it stands there, of a file, or what a command prints."""
    if settings.get("api_key"):
        return str(settings["api_key"])
    if settings.get("api_key_file"):
        return _read_key(str(settings["api_key_file"]), f"{path}: api_key_file" if path else "WORKMANAGER_API_KEY_FILE")
    if settings.get("api_key_command"):
        name = f"{path}: api_key_command" if path else "WORKMANAGER_API_KEY_COMMAND"
        return _run_key_command(str(settings["api_key_command"]), name)
    return None


def _read_key(path: str, name: str) -> str:
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            return _one_key(file.read(), name)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{name}: {path} cannot be read: {reason}") from error


def _run_key_command(command: str, name: str) -> str:
    import shlex  # Here, as few have such a command.
    import subprocess

    try:
        done = subprocess.run(
            shlex.split(command), stdout=subprocess.PIPE, text=True, check=True, timeout=KEY_COMMAND_SECONDS
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise UsageError(f"{name} failed: {error}") from error
    return _one_key(done.stdout, name)


def _one_key(text: str, name: str) -> str:
    key = text.strip()
    if not key or not key.isprintable() or " " in key:
        raise UsageError(f"{name} gives no key, which is one word")
    return key


def _urls(value: Any, path: str) -> Sequence[str]:
    if value is None:
        return [DEFAULT_URL]
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{path}: url is neither a URL nor a list of them")
    return _split(texts)


def _split(texts: Sequence[str]) -> Sequence[str]:
    return [url.strip() for text in texts for url in text.split(",") if url.strip()]
