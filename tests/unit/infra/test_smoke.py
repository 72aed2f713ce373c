"""When the smoke test passes, and which results it acknowledges."""

import hashlib
from typing import Any, Self

import pytest

from infra import smoke
from workmanager.client import Completed


def _value() -> str:
    digest = smoke.DATA
    for _ in range(smoke.ITERATIONS):
        digest = hashlib.sha512(digest).digest()
    return digest.hex()


class System:
    """A deployment in use: it has one other result, which is not acknowledged.

    Args:
        value: result of the smoke test's job.
        taken: whether another consumer has pulled that result.
    """

    def __init__(self, value: str, *, taken: bool) -> None:
        self._value = value
        self._taken = taken
        self.acknowledged: list[str] = []

    def __call__(self, *_: object, **__: object) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def enqueue(self, data: bytes, *, iterations: int) -> str:
        return "mine"

    def job(self, job_id: str) -> dict[str, Any]:
        return {"status": "finished", "result": self._value}

    def pull(self, **_: object) -> list[Completed]:
        others = [Completed("another", "x")]
        return others if self._taken else [*others, Completed("mine", self._value)]

    def ack(self, ids: list[str]) -> None:
        self.acknowledged += ids


def test_only_its_own_result_is_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(_value(), taken=False)
    monkeypatch.setattr(smoke, "Client", system)
    smoke.run_smoke_test("https://there", "key")
    assert system.acknowledged == ["mine"]


def test_a_result_that_another_consumer_pulled_is_read_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(_value(), taken=True)
    monkeypatch.setattr(smoke, "Client", system)
    smoke.run_smoke_test("https://there", "key")
    assert system.acknowledged == []


@pytest.mark.parametrize("taken", [False, True])
def test_a_wrong_value_is_reported(monkeypatch: pytest.MonkeyPatch, taken: bool) -> None:
    monkeypatch.setattr(smoke, "Client", System("00", taken=taken))
    with pytest.raises(smoke.SmokeError, match="wrong"):
        smoke.run_smoke_test("https://there", "key")
