"""Settings of a real server, changed while a manager looks at it."""

import logging

import pytest

from jobqueue.servers.topology import Topology
from manager.queue.server_settings import ServerSettings
from workmanager.local.valkey import ValkeyServer


@pytest.fixture(autouse=True)
def _each_look_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only each second."""
    monkeypatch.setattr("jobqueue.servers.connection_pool.INFO_MAX_AGE_SECONDS", -1.0)


async def test_a_server_that_can_lose_jobs_is_told_once_until_it_is_set_right(
    private_server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="manager.queue.server_settings")
    topology = Topology(private_server.url)
    await topology.refresh()
    settings, address = ServerSettings(topology), f"127.0.0.1:{private_server.port}"
    await settings.look()
    assert settings.risks == {}

    for name, risky, sound in (("appendonly", "no", "yes"), ("maxmemory-policy", "allkeys-lru", "noeviction")):
        private_server.command("CONFIG", "SET", name, risky)
        for _ in range(2):
            await settings.look()
            assert f"set {name} {sound}" in settings.risks[address]
        private_server.command("CONFIG", "SET", name, sound)
        await settings.look()
        assert settings.risks == {}
    await topology.close()
    assert [message.partition(" reason=")[0] for message in caplog.messages] == [
        f"event=redis_settings_unsafe server={address}",
        f"event=redis_settings_safe server={address}",
    ] * 2


async def test_a_server_that_does_not_answer_is_not_called_sound(private_server: ValkeyServer) -> None:
    private_server.command("CONFIG", "SET", "appendonly", "no")
    topology = Topology(private_server.url)
    await topology.refresh()
    settings = ServerSettings(topology)
    await settings.look()
    private_server.kill()
    (master,) = topology.masters()
    await master.close()
    await settings.look()
    assert list(settings.risks) == [f"127.0.0.1:{private_server.port}"]
    await topology.close()
