"""What a manager does besides answering requests, once it has reached Redis: with several processes, the main one."""

from typing import TYPE_CHECKING

from jobqueue.functions import FunctionRegistry
from jobqueue.sharding.shards import Shards
from manager.alerts.reading import BackupNote, FactsReader
from manager.alerts.sender import AlertSender
from manager.alerts.watch import AlertWatch
from manager.callbacks.sender import CallbackSender
from manager.callbacks.signature import parse_secrets
from manager.metrics.requests import Metrics
from manager.operations.runner import OperationRunner
from manager.queue.connection import QueueConnection
from manager.reporter import Reporter
from manager.scaler_factory import build_scaler
from manager.settings import ManagerSettings, callback_guard
from scaler.loop import ScalerLoop

if TYPE_CHECKING:
    from processes.tracing.spans import Tracing


class MainDuties:
    """Callbacks, alerts, operations on many jobs, the scaler, and the candidacy for telling of the whole queue.

    Args:
        address: host and port of this manager.
        scaler: the fleet that launches workers: `ec2`, `local` or `none`.
        parent_fd: a liveness pipe for the workers that the scaler launches.
    """

    def __init__(
        self,
        settings: ManagerSettings,
        functions: FunctionRegistry,
        queue: QueueConnection,
        metrics: Metrics,
        reporter: Reporter,
        tracing: "Tracing | None",
        *,
        address: str,
        scaler: str,
        parent_fd: int | None,
    ) -> None:
        self._settings = settings
        self._functions = functions
        self._queue = queue
        self._metrics = metrics
        self._reporter = reporter
        self._tracing = tracing
        self._address = address
        self._fleet = scaler
        self._parent_fd = parent_fd
        self._scaler: ScalerLoop | None = None
        self._alerts: AlertWatch | None = None
        self._callbacks: CallbackSender | None = None
        self._operations: OperationRunner | None = None

    def start(self, shards: Shards) -> None:
        """Start all, when Redis has been reached."""
        settings = self._settings
        self._reporter.start(shards, self._address)
        self._callbacks = CallbackSender(
            shards,
            callback_guard(settings),
            parse_secrets(settings.callback_secrets),
            retry_intervals=settings.callback_retry_intervals,
            timeout_seconds=settings.callback_timeout_seconds,
            tracing=self._tracing,
        )
        self._callbacks.start()
        if settings.alert_url or settings.alert_topic:
            self._alerts = self._build_alerts(shards)
            self._alerts.start()
        self._operations = OperationRunner(shards, self._queue.service.operations, self._functions)
        self._operations.start()
        self._scaler = build_scaler(
            self._fleet, settings, shards, self._address, self._metrics.registry, parent_fd=self._parent_fd
        )
        if self._scaler is not None:
            self._scaler.start()

    async def stop(self) -> None:
        """Stop all that was started, the scaler first: its workers drain."""
        if self._scaler is not None:
            await self._scaler.stop()
        if self._alerts is not None:
            await self._alerts.stop()
        await self._reporter.stop()
        if self._callbacks is not None:
            await self._callbacks.stop()
        if self._operations is not None:
            await self._operations.stop()

    def wake_scaler(self) -> None:
        """Have the scaler decide now, because jobs wait."""
        if self._scaler is not None:
            self._scaler.wake()

    def _build_alerts(self, shards: Shards) -> AlertWatch:
        settings, overview = self._settings, self._queue.service.overview
        backup = None
        if settings.backup_marker:
            backup = BackupNote(shards, settings.backup_marker, self._address.rpartition(":")[0])
        reader = FactsReader(shards, overview, settings, launches_workers=self._fleet != "none")
        return AlertWatch(
            shards, self._reporter, reader, AlertSender(settings), kinds=settings.alert_kinds, backup=backup
        )
