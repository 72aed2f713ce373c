"""`python -m worker_node --redis-url URL --slots N [--queues high,default,low] [--burst]`: run one worker."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import uvloop

from jobqueue.errors import LayoutMismatch, WrongDatabase
from jobqueue.functions import FunctionRegistry
from jobqueue.model import ISOLATED
from jobqueue.servers.topology import Topology
from jobqueue.settings import exit_with_usage_error
from jobqueue.sharding.shards import Shards
from jobqueue.workers.registry import WorkerRecord
from processes.garbage_collection import relax_garbage_collection
from processes.inheritance import keep_descriptors_private
from processes.logs import configure_logging, tell_unknown_settings
from processes.privacy import keep_memory_private
from processes.settings_file import CONFIG
from processes.tracing.setup import open_tracing
from worker_node.agent import Agent
from worker_node.functions import HTTP_ALLOW
from worker_node.job_environment import job_environment, kept_from_jobs, parse_names
from worker_node.job_limits import LimitTable
from worker_node.job_user import JobUser
from worker_node.priority import agent_niceness, lower_priority
from worker_node.redaction import Redaction
from worker_node.settings import (
    WorkerOptions,
    WorkerSettings,
    config_option,
    parse_options,
    read_job_user,
    read_settings,
)
from worker_node.shutdown.dead_man_switch import DeadManSwitch
from worker_node.shutdown.instance_metadata import InstanceMetadata
from worker_node.shutdown.interruption_notices import watch_interruption_notices
from worker_node.shutdown.stop_signals import listen_for_stop
from worker_node.slots.executor_process import ExecutorOptions
from worker_node.slots.recycling import RecyclingLimits

if TYPE_CHECKING:
    from processes.tracing.spans import Tracing
    from worker_node.metrics import MetricsServer
    from worker_node.run_spans import RunSpans

MIB = 1 << 20

log = logging.getLogger(__name__)


class StartupError(Exception):
    """The worker cannot work with this Redis; the message says why."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a worker until it has drained. Exit codes: 0 after a drain, 2 for wrong usage or settings."""
    keep_descriptors_private()
    if (config := config_option(arguments)) is not None:
        os.environ[CONFIG] = config
    settings = read_settings(os.environ)
    if settings.http_allow:
        os.environ[HTTP_ALLOW] = settings.http_allow  # For executors, which inherit it, also if a file has set it.
    options = parse_options(arguments, settings)
    user = read_job_user(settings)
    _check_redis_url(options.redis_url, settings)
    configure_logging(settings.log_format, settings.log_to)
    if options.parent_fd is None:  # Else the manager that has started this worker has told of them.
        tell_unknown_settings(os.environ)
    lower_priority(agent_niceness(settings.nice))
    keep_memory_private()  # Later than the priority, which needs a file of /proc/self that must be opened before.
    functions = FunctionRegistry.load(settings.functions)
    for module, reason in functions.unreadable.items():
        log.error("event=functions_unreadable module=%s reason=%r: jobs of this module fail", module, reason)
    _tell_kept_variables(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_run(settings, options, functions, user))
        except StartupError as error:
            exit_with_usage_error(str(error))


def _check_redis_url(url: str, settings: WorkerSettings) -> None:
    try:
        Topology(url)
    except ValueError as error:
        exit_with_usage_error(f"{_url_name(url, settings)}: {error}")


def _url_name(url: str, settings: WorkerSettings) -> str:
    return "WORKMANAGER_REDIS_URL" if url == settings.redis_url else "--redis-url"


def _tell_kept_variables(settings: WorkerSettings) -> None:
    kept = kept_from_jobs(os.environ, job_environment(os.environ, parse_names(settings.job_environment)))
    if kept:
        log.info("event=variables_kept_from_jobs setting=WORKMANAGER_JOB_ENVIRONMENT names=%s", ",".join(kept))


async def _run(settings: WorkerSettings, options: WorkerOptions, functions: FunctionRegistry, user: JobUser) -> None:
    stops = listen_for_stop(settings.drain_grace_seconds, options.parent_fd)
    first_stop = asyncio.create_task(stops.get())
    dead_man_switch = DeadManSwitch(settings.manager_timeout_seconds) if options.owns_instance else None
    connecting = asyncio.create_task(_connect(options.redis_url, _url_name(options.redis_url, settings)))
    timeout = dead_man_switch.remaining_seconds if dead_man_switch else None
    await asyncio.wait((first_stop, connecting), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done():
        log.info("event=worker_stopped reason=%s", "signal" if first_stop.done() else "redis_never_reached")
        connecting.cancel()
        return
    shards = connecting.result()
    tracing = open_tracing(settings.traces, "workmanager-worker")
    agent = _new_agent(shards, settings, options, functions, user, tracing)
    relax_garbage_collection()
    watchers: list[Coroutine[Any, Any, None]] = [_drain_on_stop(agent, first_stop, stops)]
    if dead_man_switch is not None:
        watchers.append(_drain_without_managers(agent, dead_man_switch, shards, settings.drain_grace_seconds))
        watchers.append(_watch_spot(agent))
    tasks = [asyncio.create_task(watcher) for watcher in watchers]
    metrics = await _serve_metrics(shards, agent, settings, options)
    try:
        await agent.run()
    finally:
        if metrics is not None:
            await metrics.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await shards.close()
        if tracing is not None:
            tracing.close()


async def _connect(redis_url: str, url_name: str) -> Shards:
    try:
        topology = Topology(redis_url, setting=f"{url_name} of a worker", role="worker")
        return await Shards.connect_with_retries(topology)
    except (LayoutMismatch, WrongDatabase, ValueError) as error:
        raise StartupError(f"{url_name}: {error}") from error


def _new_agent(
    shards: Shards,
    settings: WorkerSettings,
    options: WorkerOptions,
    functions: FunctionRegistry,
    user: JobUser,
    tracing: "Tracing | None",
) -> Agent:
    return Agent(
        shards,
        WorkerRecord(
            name=options.name,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            queues=options.queues,
            slots=options.slots,
            fleet=options.fleet,
            instance_id=options.instance_id,
            # With reloading, this may be mended any moment; the managers of the same machine tell how it stands.
            problems=() if settings.reload_functions else tuple(functions.unreadable.values()),
        ),
        lease_seconds=settings.lease_seconds,
        executor=ExecutorOptions(
            settings.functions,
            settings.allow_pickle,
            settings.nice,
            reload_functions=settings.reload_functions,
            job_limits=LimitTable.parse(settings.job_limits),
            isolates=settings.isolation == ISOLATED,
            max_growth_files=settings.executor_max_growth_files,
            variables=parse_names(settings.job_environment),
            log_level=settings.job_log_level,
            measures_output=_keep_output(settings) != "none",
            redaction=Redaction(settings.log_redact),
            user=user,
        ),
        limits=RecyclingLimits(settings.executor_max_jobs, settings.executor_max_growth_mib * MIB),
        functions=functions,
        keep_output=_keep_output(settings),
        burst=options.burst,
        spans=_run_spans(tracing, options.name),
    )


def _run_spans(tracing: "Tracing | None", worker: str) -> "RunSpans | None":
    if tracing is None:
        return None
    from worker_node.run_spans import RunSpans  # Here, because other workers start without OpenTelemetry.

    return RunSpans(tracing, worker)


def _keep_output(settings: WorkerSettings) -> str:
    # How much is in a pipe can be asked at both of its ends on Linux only (`executor/output_meter.py`).
    return settings.keep_output if sys.platform == "linux" else "none"


async def _serve_metrics(
    shards: Shards, agent: Agent, settings: WorkerSettings, options: WorkerOptions
) -> "MetricsServer | None":
    if not settings.metrics_listen:
        return None
    from worker_node.metrics import MetricsServer, WorkerMetrics  # Here, because other workers start without it.

    host, _, port = settings.metrics_listen.rpartition(":")
    server = MetricsServer(WorkerMetrics(options.slots, agent.heartbeat, shards.topology.round_trips))
    await server.start(host.removeprefix("[").removesuffix("]"), int(port))
    return server


async def _drain_on_stop(agent: Agent, first_stop: asyncio.Task[float], stops: asyncio.Queue[float]) -> None:
    agent.drain(await first_stop, "signal")
    while True:
        agent.drain(await stops.get(), "signal")


async def _drain_without_managers(
    agent: Agent, dead_man_switch: DeadManSwitch, shards: Shards, grace_seconds: float
) -> None:
    await dead_man_switch.wait(shards)
    agent.drain(grace_seconds, "manager_timeout")


async def _watch_spot(agent: Agent) -> None:
    metadata = InstanceMetadata(os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", ""))

    def on_spot(end: datetime) -> None:
        agent.drain_for_spot((end - datetime.now(UTC)).total_seconds())

    await watch_interruption_notices(metadata, on_spot=on_spot, on_rebalance=agent.note_rebalance)


if __name__ == "__main__":
    main()
