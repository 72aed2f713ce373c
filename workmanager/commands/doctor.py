"""`workmanager doctor`: find out what is wrong with a system, and say what to do. Ends with 1 if something is."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from workmanager.commands.arguments import CommandParser, client_parser, find_options_target
from workmanager.commands.diagnosis import Finding, ManagerFacts, SystemFacts, diagnose
from workmanager.commands.output import print_json, print_line, select_fields
from workmanager.commands.target import Target
from workmanager.commands.terminal import GREEN, RED, styled
from workmanager.commands.version import installed_version
from workmanager.errors import ClientError, Unavailable, UsageError
from workmanager.http.addresses import without_user

if TYPE_CHECKING:
    from workmanager.client import Client

RETRY_SECONDS = 0.5
NO_KEY_STATUSES = (401, 403)
Answer = TypeVar("Answer")


def main(arguments: Sequence[str]) -> int:
    options = make_parser().parse_args(arguments)
    findings = list(_examine(find_options_target(options)))
    for finding in findings:
        if options.json:
            document = {"subject": finding.subject, "ok": not finding.is_wrong, "text": finding.text}
            print_json(select_fields(document | {"remedy": finding.remedy or None}, options.fields))
        else:
            _print(finding)
    return 1 if any(finding.is_wrong for finding in findings) else 0


def make_parser() -> CommandParser:
    """Return the parser of the options."""
    return client_parser("doctor", __doc__)


def _print(finding: Finding) -> None:
    mark = styled("wrong", RED, sys.stdout) if finding.is_wrong else styled("ok   ", GREEN, sys.stdout)
    print(mark, end="  ")
    print_line(f"{finding.subject}: {finding.text}" + (f" → {finding.remedy}" if finding.is_wrong else ""))


def _examine(target: Target) -> Sequence[Finding]:
    from workmanager.client import Client

    managers = []
    system = None
    for url in target.urls:
        with Client(url, target.key, retry_seconds=RETRY_SECONDS) as client:
            facts = _manager(client, without_user(url))
            if not facts.error and system is None:
                system = _system(client, has_key=target.key is not None)
        managers.append(facts)
    return list(diagnose(managers, system))


def _manager(client: "Client", url: str) -> ManagerFacts:
    try:
        health = client.system.health()
    except ClientError as error:
        return ManagerFacts(url, error=str(error), is_refused=error.status is not None)
    readiness, unready = None, ""
    try:
        readiness = client.system.readiness()
    except ClientError as error:
        unready = str(error)
    version = _allowed(client.system.version)
    return ManagerFacts(
        url,
        milliseconds=health.milliseconds,
        clock_seconds=health.clock_seconds,
        readiness=readiness,
        unready=unready,
        version=version,
    )


def _system(client: "Client", *, has_key: bool) -> SystemFacts | None:
    here = installed_version()
    try:
        scopes = client.system.scopes()
    except Unavailable:
        return None  # the managers' findings tell of it, and the key is not at fault
    except ClientError as error:
        return SystemFacts(has_key, here, key_error=str(error))
    return SystemFacts(
        has_key,
        here,
        scopes=scopes,
        status=_allowed(client.status),
        workers=_allowed(client.system.workers),
        scaler=_allowed(client.scaler),
    )


def _allowed(ask: Callable[[], Answer]) -> Answer | None:
    """Return the answer; None if the key may not ask, or the manager cannot tell for now."""
    try:
        return ask()
    except UsageError:
        raise
    except ClientError as error:
        if error.status in NO_KEY_STATUSES or error.status is None or error.status >= 500:
            return None
        raise
