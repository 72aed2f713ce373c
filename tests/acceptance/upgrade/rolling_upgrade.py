"""One upgrade: managers, workers and the server of one version are replaced by those of another under load."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.faults.delivery_ledger import DeliveryLedger, check_deliveries
from tests.acceptance.faults.load_clients import LoadClients
from tests.acceptance.faults.system_under_test import API_KEY
from tests.acceptance.upgrade.feature_load import FeatureLoad
from tests.acceptance.upgrade.store import Store
from tests.acceptance.upgrade.versions import Program, Version
from tests.ports import pick_port
from tests.waiting import until, until_async

Step = Callable[[], None]
ORDERS = ("managers", "workers", "back", "up")
"""What is replaced first; `up` is `workmanager up`, which is stopped and started again on its data.

`back` is an upgrade that is rolled back: both managers and one worker are replaced, and then the old ones come back.
"""
USERS = ("none", "old", "new", "hosts")
"""Redis users: none, those of the old version until everything is replaced, or those of the new one from the start.

`hosts`, only of a cluster: each manager's host is replaced with its manager, servers and users, as on AWS.
"""
_END_SECONDS = 90.0


@dataclass(slots=True)
class RollingUpgrade:
    """Two managers and two workers on one server or a cluster, whose programs are replaced one after the other.

    Attributes:
        seconds: between two replacements.
        in_cluster: whether there are six Redis servers, three of them masters.
        faults: what was wrong, in words.
    """

    old: Version
    new: Version
    order: str
    users: str
    seconds: float
    directory: Path
    in_cluster: bool = False
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _started: list[Program] = field(default_factory=list)
    _running: dict[str, Program] = field(default_factory=dict)

    async def run(self) -> None:
        """Run it; what was wrong is in `faults`."""
        self.directory.mkdir(parents=True)
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(self._kill_all)
            if self.order == "up":
                port = pick_port(consecutive=2)
                ports = [port, port + 1]
                steps: list[Step] = [partial(self._start_up, port, self.new)]
                await asyncio.to_thread(self._start_up, port, self.old)
            else:
                store = Store(self.directory, in_cluster=self.in_cluster, has_users=self.users != "none")
                cleanup.callback(store.stop)
                ports = [pick_port(), pick_port()]
                steps = await asyncio.to_thread(self._start_programs, store, ports)
            await self._replace_under_load(steps, [f"http://127.0.0.1:{port}" for port in ports])
            # Programs of the same name and version have one log: those of the old version before and after a rollback.
            logs = {program.log_path: program for program in self._started}
            for program in logs.values():
                self.faults += program.errors()

    async def _replace_under_load(self, steps: Sequence[Step], urls: list[str]) -> None:
        await asyncio.gather(*map(_ready, urls))
        clients, features = LoadClients(urls, DeliveryLedger(), seed=1), FeatureLoad(urls)
        clients.start()
        features.start()
        await until_async(lambda: _true(bool(clients.ledger.deliveries)), wanted="the first result")
        for step in steps:
            await asyncio.sleep(self.seconds)
            await asyncio.to_thread(step)
            clients.raise_if_failed()
        await asyncio.gather(*map(_ready, urls))
        refused_before, features.refused = features.refused, {}
        await asyncio.sleep(self.seconds)
        await clients.stop_submitting()
        await features.stop()
        await features.check_ends(_END_SECONDS)
        found = await self._find_undelivered(clients)
        await clients.close()
        verdict = check_deliveries(clients.ledger, found)
        if not verdict.is_clean:
            self.faults.append(f"deliveries: {verdict}")
        if verdict.only_by_id:
            self.notes.append(f"found by id, as the reply to a pull without lease was lost: {verdict.only_by_id}")
        self.faults += features.faults
        self.notes.append(f"{len(clients.ledger.expected)} values pulled, {len(features.submitted)} other jobs ended")
        if self.order == "back":
            refused_before |= features.refused
        else:
            self.faults += [f"{self.new.name} refuses {kind}: {why}" for kind, why in features.refused.items()]
        if refused_before:
            self.notes.append(f"unknown to {self.old.name}: {', '.join(sorted(refused_before))}")

    async def _find_undelivered(self, clients: LoadClients) -> dict[str, Any]:
        """Wait until all results are pulled, and return those that are not, but are stored, by their jobs' ids.

        Without a lease, a result whose pull has no reply, because its server stops, is pulled for good.
        """
        with contextlib.suppress(AssertionError):
            await until_async(lambda: _true(not clients.ledger.undelivered()), _END_SECONDS, wanted="all results")
        return await clients.find_results(clients.ledger.undelivered())

    def _kill_all(self) -> None:
        for program in self._started:
            program.kill()

    def _start_programs(self, store: Store, ports: Sequence[int]) -> list[Step]:
        """Start the servers and all programs of the old version, and return the steps that replace these."""
        store.start(self.new if self.users == "new" else self.old)
        managers = [partial(self._start_manager, store, number, port) for number, port in enumerate(ports)]
        workers = [partial(self._start_worker, store, f"worker-{number}") for number in (1, 2)]
        for start in managers:
            start(self.old)
        store.wait_until_healthy()
        for start in workers:
            start(self.old)
        if self.order == "back":
            programs = (managers[0], workers[0], managers[1])
            replaced = [partial(start, self.new) for start in programs]
            return [*replaced, store.restart, *(partial(start, self.old) for start in reversed(programs))]
        first, last = (managers, workers) if self.order == "managers" else (workers, managers)
        steps: list[Step] = [partial(start, self.new) for start in first]
        steps += [store.restart, *(partial(start, self.new) for start in last)]
        if self.users in ("old", "hosts"):
            steps.append(partial(store.set_users, self.new))
        return steps

    def _start_up(self, port: int, version: Version) -> None:
        arguments = ["workmanager", "up", "--port", str(port), "--managers", "2", "--max-workers", "2"]
        arguments += ["--data-dir", str(self.directory / "data"), *(["--cluster"] if self.in_cluster else [])]
        self._replace("up", version, arguments, {"API_KEYS": API_KEY, "CALLBACK_SECRETS": _SECRET})

    def _start_manager(self, store: Store, number: int, port: int, version: Version) -> None:
        name = f"manager-{port}"
        if self.users == "hosts" and name in self._running:
            self._running[name].stop()
            store.restart_host(number, version)
        settings = {"API_KEYS": API_KEY, "CALLBACK_SECRETS": _SECRET, **store.manager_settings()}
        arguments = ("workmanager", "manager", "--port", str(port), "--scaler", "none")
        self._replace(name, version, arguments, settings)
        until(lambda: _answers(port), wanted=f"an answer of {name}")

    def _start_worker(self, store: Store, name: str, version: Version) -> None:
        arguments = ("workmanager", "worker", "--slots", "2", "--name", name)
        self._replace(name, version, arguments, store.worker_settings())

    def _replace(self, name: str, version: Version, arguments: Sequence[str], settings: dict[str, str]) -> None:
        if name in self._running:
            self._running[name].stop()
        program = self._running[name] = Program(name, version, arguments, settings, self.directory)
        self._started.append(program)


_SECRET = "whsec_" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="


async def _ready(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:

        async def is_ready() -> bool:
            try:
                return (await client.get(f"{url}/readyz")).is_success
            except httpx.HTTPError:
                return False

        await until_async(is_ready, wanted=f"{url} is ready")


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False, verify=False).is_success
    except httpx.HTTPError:
        return False


async def _true(value: bool) -> bool:
    return value
