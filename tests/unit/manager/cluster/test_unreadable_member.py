"""A member of the cluster that answers what nobody can read."""

import pytest

from jobqueue.servers.connection_pool import ServerPool
from jobqueue.servers.url import parse_redis_url
from manager.cluster.reconciler import ClusterReconciler
from manager.cluster.slot_ranges import parse_hosts

HOSTS = ("10.0.0.1:1+2", "10.0.0.2:1+2", "10.0.0.3:1+2")
ANSWERS = [b"nonsense", b"", b"", 0]


@pytest.mark.parametrize("answers", [ANSWERS, [b"\xff", *ANSWERS[1:]], [b"", *ANSWERS[1:]]])
async def test_it_counts_as_down_and_the_round_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answers: list[object]
) -> None:
    async def answer(server: ServerPool, *commands: object, timeout_seconds: float) -> list[object]:
        return answers

    monkeypatch.setattr(ServerPool, "execute", answer)
    reconciler = ClusterReconciler(parse_hosts(HOSTS), parse_redis_url("redis://10.0.0.1").connect)
    state = await reconciler.reconcile()
    assert state.members_down == 6
    assert "event=cluster_member_down member=10.0.0.1:1 reason=" in caplog.text
    assert caplog.text.count("it answers no view of a cluster") == 6
    await reconciler.stop()
