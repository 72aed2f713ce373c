"""Settings from the environment: `WORKMANAGER_<NAME>` for each field of a Pydantic model, read once at start.

Those that the environment lacks may stand in a file (`processes.settings_file`).
"""

import argparse
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Literal, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from jobqueue.model import ALL_QUEUES, LEASE_SECONDS
from processes.log_collector import parse_collector
from processes.secrets import SecretError, read_secret
from processes.settings_file import PREFIX, SettingsFileError, with_settings_file
from processes.tracing.setup import Traces

_CREDENTIALS = re.compile(r"(?<=://)[^\s'\"]*@")
"""User name and password in a URL."""

Model = TypeVar("Model", bound=BaseModel)


def split_at_commas(value: object) -> object:
    """Return the parts of a text; anything else as it is.

    Raises:
        ValueError: there are commas or spaces alone, which is rather a mistake than nothing.
    """
    if not isinstance(value, str):
        return value
    parts = tuple(part.strip() for part in value.split(",") if part.strip())
    if value and not parts:
        raise ValueError("names nothing: leave it out, or give at least one")
    return parts


CommaSeparated = Annotated[tuple[str, ...], BeforeValidator(split_at_commas)]


def check_queues(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of a worker's queues; `*` means every queue.

    Raises:
        ValueError: `*` stands beside other names.
    """
    if "*" in names and names != ALL_QUEUES:
        raise ValueError("'*' means every queue, so it must stand alone")
    return names


def _checked_collector(url: str) -> str:
    parse_collector(url)
    return url


class QueueSettings(BaseModel):
    """The settings of every program that uses the queue."""

    model_config = ConfigDict(frozen=True)

    redis_url: str = Field(default="redis://127.0.0.1:6379/0", repr=False)
    functions: CommaSeparated = ()
    reload_functions: bool = False
    """Whether edits of the modules of `functions` count for the next job. `workmanager up` turns it on."""
    queues: Annotated[CommaSeparated, AfterValidator(check_queues)] = ALL_QUEUES
    """Queues that workers serve if their command line names none; in order, or `*` for every queue in turn."""
    lease_seconds: float = Field(default=LEASE_SECONDS, ge=1.0, le=25.0)
    log_format: Literal["text", "json"] = "text"
    log_to: Annotated[str, AfterValidator(_checked_collector)] = ""
    """Who gets the log besides standard error, see `processes/log_collector.py`."""
    traces: Traces = "off"
    """Whether spans are made, and how those of a job belong together, see `processes/tracing/setup.py`."""


def load_settings(model: type[Model], environ: Mapping[str, str]) -> Model:
    """Read the variables of `model`. An invalid one ends the program, with one line on stderr and exit code 2.

    What the environment lacks is taken from the file that `WORKMANAGER_CONFIG` names. The line has the wrong value, but
    no password of a URL, and nothing of a field whose `repr` is off: a secret. Such a field can be given in other ways,
    see `processes.secrets`.
    """
    try:
        environ = with_settings_file(environ)
    except SettingsFileError as error:
        exit_with_usage_error(str(error))
    given = {
        name: environ[PREFIX + name.upper()]
        for name in model.model_fields
        if environ.get(PREFIX + name.upper(), "") != ""
    }
    for name, declared in model.model_fields.items():
        if not declared.repr and name not in given:
            try:
                secret = read_secret(environ, PREFIX + name.upper())
            except SecretError as error:
                exit_with_usage_error(str(error))
            if secret is not None:
                given[name] = secret
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0] if first["loc"] else "").upper()
        field = model.model_fields.get(str(first["loc"][0])) if first["loc"] else None
        reason = first["msg"]
        if first["type"] == "string_pattern_mismatch" and field is not None and field.description:
            reason = f"must be {field.description}"
        message = f"{name}: {reason}"
        if field is None or field.repr:
            message += f" (got {first['input']!r})"
        exit_with_usage_error(_CREDENTIALS.sub("...@", message))


class OneLineParser(argparse.ArgumentParser):
    """A parser of a program's options that reports a wrong one as `exit_with_usage_error` does a wrong setting."""

    def error(self, message: str) -> NoReturn:
        exit_with_usage_error(f"{message} (see {self.prog} --help)")


def exit_with_usage_error(message: str) -> NoReturn:
    """End the program as command-line tools do on wrong usage: one line on stderr, exit code 2."""
    sys.stderr.write(message + "\n")
    raise SystemExit(2)
