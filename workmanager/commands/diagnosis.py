"""What is wrong with a system, and what to do: findings from what was asked of it. Pure; `doctor` asks and prints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workmanager.commands.output import counted

MAX_CLOCK_SECONDS = 5.0
"""`at` and expiries are given by the caller's clock; half a minute is what leases last."""
SILENT_SECONDS = 20.0
"""As `explain` and the dashboard: a worker sends a heartbeat every few seconds."""
_REDIS_REMEDY = (
    "look at its log, whether Redis runs, and whether it takes the user and password of WORKMANAGER_REDIS_URL"
)
SCOPES = ("jobs:write", "jobs:read", "results:pull", "admin")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        remedy: what to do; '' if all is well.
    """

    subject: str
    text: str
    remedy: str = ""

    @property
    def is_wrong(self) -> bool:
        return self.remedy != ""


@dataclass(frozen=True, slots=True)
class ManagerFacts:
    """What one manager has answered.

    Attributes:
        error: why it did not answer, or refused the simplest request; '' if it answered.
        is_refused: which of the two.
        clock_seconds: how much its clock is ahead of this one's.
        readiness: the answer of `/readyz`; None if it is not ready, which `unready` explains.
        version: of the program; None if the key may not ask.
    """

    url: str
    error: str = ""
    is_refused: bool = False
    milliseconds: float = 0.0
    clock_seconds: float = 0.0
    readiness: Mapping[str, Any] | None = None
    unready: str = ""
    version: str | None = None


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """What any manager has answered; None of what the key may not see.

    Attributes:
        key_error: why the key was refused; '' if it was not.
        scopes: what the key may do.
        client_version: of this program; None if it is not installed.
    """

    has_key: bool
    client_version: str | None
    key_error: str = ""
    scopes: Mapping[str, bool] = field(default_factory=dict)
    status: Mapping[str, Any] | None = None
    workers: Sequence[Mapping[str, Any]] | None = None
    scaler: Mapping[str, Any] | None = None


def diagnose(managers: Sequence[ManagerFacts], system: SystemFacts | None) -> Iterator[Finding]:
    """Yield what was found, in the order in which a person would look.

    Args:
        system: None if no manager answers, or none that can.
    """
    for manager in managers:
        yield from _manager(manager)
    yield from _difference(managers, "version", [each.version for each in managers])
    rules = [None if each.readiness is None else each.readiness.get("time_zone_rules") for each in managers]
    yield from _difference(managers, "time zone rules", rules)
    if system is None:
        return
    versions = sorted({each.version for each in managers if each.version is not None})
    if versions and system.client_version not in (None, *versions):
        yield Finding(
            "version",
            f"this program is {system.client_version}, the managers are {', '.join(versions)}",
            "install the managers' version here",
        )
    yield from _key(system)
    if system.status is not None:
        yield from _work(system.status, system.workers, system.scaler)
    if system.workers is not None:
        yield from _workers(system.workers)
    if system.scaler is not None:
        yield from _scaler(system.scaler)


def _manager(manager: ManagerFacts) -> Iterator[Finding]:
    if manager.error:
        remedy = "start a manager there (`workmanager up`, `workmanager manager`), or give another --url"
        if manager.is_refused:
            remedy = "check the URL, and WORKMANAGER_ALLOWED_HOSTS of the manager or what its proxy allows"
        yield Finding(manager.url, manager.error, remedy)
        return
    version = f", version {manager.version}" if manager.version else ""
    yield Finding(manager.url, f"answers in {manager.milliseconds:.0f} ms{version}")
    if abs(manager.clock_seconds) > MAX_CLOCK_SECONDS:
        side = "ahead of" if manager.clock_seconds > 0 else "behind"
        text = f"its clock is {abs(manager.clock_seconds):.0f} s {side} this machine's"
        yield Finding(manager.url, text, "let both machines follow a time server (timedatectl)")
    if manager.readiness is None:
        yield Finding(manager.url, f"is not ready: {manager.unready}", _REDIS_REMEDY)
        return
    yield from _readiness(manager.url, manager.readiness)


def _readiness(url: str, ready: Mapping[str, Any]) -> Iterator[Finding]:
    shards = ready["shards"]
    if shards["unavailable"]:
        text = f"{shards['unavailable']} of {shards['total']} shards do not accept jobs"
        yield Finding(url, text, "look at the Redis servers (docs/faults.md); jobs of these shards wait")
    for name, seconds in (ready.get("moving_shards") or {}).items():
        yield Finding(
            url, f"shard {name} is being moved for {seconds:.0f} s", "wait; if it stays, see docs/operating.md"
        )
    for server, reason in (ready.get("refused_servers") or {}).items():
        yield Finding(url, f"Redis at {server} is refused: {reason}", "make it a member of the cluster, or take it out")
    for server, reason in (ready.get("unsound_files") or {}).items():
        yield Finding(url, f"append-only file of Redis at {server}: {reason}", "see docs/faults.md before a restart")
    cluster = ready.get("cluster") or {}
    for name in ("masters_down", "members_down", "replicas_missing", "files_unsound"):
        if cluster.get(name):
            text = f"the Redis Cluster has {name.replace('_', ' ')}: {cluster[name]}"
            yield Finding(url, text, "managers repair it as far as they can; see docs/operating.md")
    for text in cluster.get("requires_operator") or ():
        yield Finding(url, f"the Redis Cluster needs an operator: {text}", "see docs/operating.md")


def _difference(managers: Sequence[ManagerFacts], subject: str, values: Sequence[str | None]) -> Iterator[Finding]:
    if len({value for value in values if value is not None}) > 1:
        each = ", ".join(f"{value} at {manager.url}" for manager, value in zip(managers, values, strict=True) if value)
        yield Finding(subject, f"the managers differ: {each}", "give all managers the same version and packages")


def _key(system: SystemFacts) -> Iterator[Finding]:
    if system.key_error:
        remedy = (
            "give a valid key" if system.has_key else "give a key with WORKMANAGER_API_KEY, --key-file or a context"
        )
        yield Finding("key", system.key_error, remedy)
        return
    may = [scope for scope in SCOPES if system.scopes.get(scope)]
    if not may:
        yield Finding("key", "it may do nothing here", "create one with the scopes that you need (docs/keys.md)")
    elif len(may) == len(SCOPES):
        yield Finding("key", "it may do everything" if system.has_key else "none is needed")
    else:
        yield Finding("key", f"it may use {', '.join(may)}, and nothing else")


def _work(
    status: Mapping[str, Any], workers: Sequence[Mapping[str, Any]] | None, scaler: Mapping[str, Any] | None
) -> Iterator[Finding]:
    problems = status.get("problems") or ()
    for problem in problems:
        yield Finding("jobs", problem, "do what it says; `workmanager queues` and `workmanager explain ID` tell more")
    jobs = status["Jobs"]
    if jobs and not status["Workers"] and not problems:
        launches = scaler is not None and scaler.get("leader") and not scaler.get("paused")
        remedy = "see `workmanager scaler log`" if launches else "start a worker (`workmanager worker`), or a scaler"
        yield Finding("jobs", f"{jobs} wait{'s' if jobs == 1 else ''}, and there is no worker", remedy)
    elif not jobs and not status["Workers"] and scaler is not None and not scaler.get("leader"):
        remedy = "start a worker (`workmanager worker`), or a manager with --scaler local or --scaler ec2"
        yield Finding("workers", "there is none, and no manager launches any: jobs would wait", remedy)
    elif not problems:
        left = f"{jobs} {'has' if jobs == 1 else 'have'} not ended"
        yield Finding("jobs", f"{left}, {counted(status['Workers'], 'worker')}")


def _workers(workers: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    for worker in workers:
        silent = worker.get("seconds_since_heartbeat")
        if silent is not None and silent > SILENT_SECONDS:
            text = f"{worker['name']} has not been heard of for {silent:.0f} s"
            yield Finding("workers", text, "look at its machine; its jobs run again elsewhere")
        for problem in worker.get("problems") or ():
            yield Finding("workers", f"{worker['name']}: {problem}", "correct it, and restart the worker if it says so")


def _scaler(scaler: Mapping[str, Any]) -> Iterator[Finding]:
    breaker = scaler.get("launch_breaker") or {}
    if scaler.get("paused"):
        yield Finding("scaler", "it is paused: workers are neither launched nor ended", "`workmanager scaler resume`")
    if breaker.get("last_failure") and (breaker.get("cooldowns") or breaker.get("failed_boots")):
        yield Finding("scaler", f"launches fail: {breaker['last_failure']}", "see `workmanager scaler` and its log")
    elif scaler.get("leader") and not scaler.get("paused"):
        yield Finding("scaler", f"{scaler['leader']} leads")
