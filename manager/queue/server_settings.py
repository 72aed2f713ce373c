"""Settings of Redis servers under which accepted jobs can be lost: looked at now and then, and told (docs/redis.md)."""

import asyncio
import logging
from collections.abc import Mapping

from jobqueue.backoff import Outage
from jobqueue.servers.connection_pool import ServerPool
from jobqueue.servers.topology import Topology
from jobqueue.servers.unreachable import ServerUnreachable

LOOK_SECONDS = 10.0

log = logging.getLogger(__name__)


def risk_of(info: Mapping[str, str]) -> str | None:
    """Return how a server can lose jobs, and what to set; None if it cannot, or does not tell.

    Args:
        info: the fields of its INFO.
    """
    risks = []
    # A member of a cluster has a second copy of what it acknowledges. Managed services have no other file.
    is_copied = info.get("cluster_enabled") == "1" and info.get("connected_slaves", "0") != "0"
    if info.get("aof_enabled") == "0" and not is_copied:
        risks.append("without an append-only file, a crash takes all since its last snapshot: set appendonly yes")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        risks.append(f"it deletes keys when its memory is full ({policy}): set maxmemory-policy noeviction")
    return "; ".join(risks) or None


class ServerSettings:
    """Looks at the settings of every master."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._risks: dict[str, str] = {}

    @property
    def risks(self) -> Mapping[str, str]:
        """How a server can lose jobs, for each that can, by address."""
        return self._risks

    async def run(self) -> None:
        """Look until cancelled."""
        crash = Outage()
        while True:
            try:
                await self.look()
                crash.end()
            except Exception as error:  # The loop's edge: an unforeseen answer must not end the manager.
                if crash.begin(repr(error)):
                    log.exception("event=redis_settings_check_crashed")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look at each master once."""
        masters = self._topology.masters()
        found = zip(masters, await asyncio.gather(*map(self._risk, masters)), strict=True)
        before, self._risks = self._risks, {master.address: risk for master, risk in found if risk is not None}
        for server, risk in self._risks.items():
            if before.get(server) != risk:
                log.warning("event=redis_settings_unsafe server=%s reason=%r", server, risk)
        for server in before.keys() - self._risks.keys():
            log.info("event=redis_settings_safe server=%s", server)

    async def _risk(self, master: ServerPool) -> str | None:
        try:
            return risk_of(await master.info())
        except ServerUnreachable:
            return self._risks.get(master.address)  # others report that it does not answer
