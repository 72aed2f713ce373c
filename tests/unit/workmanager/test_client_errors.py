"""What the errors of the client tell a program, and a client that is set up by its environment."""

import pytest

from tests.unit.workmanager.scripted_manager import Answer, ScriptedManager
from workmanager.client import Client, ClientError, Conflict, NotFound, Unavailable
from workmanager.errors import UsageError
from workmanager.local import ports


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFound), (409, Conflict), (502, Unavailable), (503, Unavailable), (504, Unavailable), (422, ClientError)],
)
def test_the_class_of_an_error_says_what_it_is(status: int, kind: type[ClientError]) -> None:
    with ScriptedManager(Answer({"detail": "no"}, status)) as manager, Client(manager.url, retry_seconds=0) as client:
        with pytest.raises(ClientError, match=f"no \\(HTTP {status}\\)") as raised:
            client.job("an-id")
        assert type(raised.value) is kind
        assert raised.value.status == status


def test_a_manager_that_is_away_is_unavailable() -> None:
    with (
        Client(f"http://127.0.0.1:{ports.free_port()}", retry_seconds=0) as client,
        pytest.raises(Unavailable) as raised,
    ):
        client.status()
    assert raised.value.status is None


@pytest.mark.parametrize(("header", "seconds"), [({"Retry-After": "300"}, 300.0), ({}, None)])
def test_an_error_says_when_to_try_again(header: dict[str, str], seconds: float | None) -> None:
    with ScriptedManager(Answer({"detail": "held"}, 409, header)) as manager, Client(manager.url) as client:
        with pytest.raises(Conflict) as raised:
            client.submit("noop", unique={"key": "k", "within": 300})
        assert raised.value.retry_after_seconds == seconds


def test_the_errors_of_a_batch_have_the_same_classes() -> None:
    lines = '{"error": {"detail": "other content", "status": 409}}\n{"error": {"detail": "no"}}'
    with ScriptedManager(Answer(lines)) as manager, Client(manager.url) as client:
        conflict, other = client.submit_many([{"function": "noop", "id": "a"}, {"function": "noop", "id": "b"}])
    assert type(conflict) is Conflict
    assert type(other) is ClientError


def test_a_client_is_set_up_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedManager(Answer({"Jobs": 1})) as manager:
        monkeypatch.setenv("WORKMANAGER_URL", f"http://127.0.0.1:{ports.free_port()}, {manager.url}")
        monkeypatch.setenv("WORKMANAGER_API_KEY", "secret")
        with Client.from_environment() as client:
            assert client.status() == {"Jobs": 1}
        assert manager.requests[0].headers["Authorization"] == "Bearer secret"


def test_a_wrong_url_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKMANAGER_URL", "localhost:5000")
    with pytest.raises(UsageError, match="localhost:5000"):
        Client.from_environment()


@pytest.mark.parametrize("key", ["k\u00e9y", "key\n", "key\0"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(UsageError, match="API key") as raised:
        Client("http://127.0.0.1:1", key)
    assert key not in str(raised.value)
