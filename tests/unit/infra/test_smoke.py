"""What the smoke test takes for a deployment that does its work."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from infra import smoke
from workmanager.client import Completed


def _value() -> str:
    digest = smoke.DATA
    for _ in range(smoke.ITERATIONS):
        digest = hashlib.sha512(digest).digest()
    return digest.hex()


class System:
    """A deployment in use, whose one other result nobody has acknowledged.

    Args:
        value: of the smoke test's job.
        taken: whether another consumer has pulled that.
    """

    def __init__(self, value: str, *, taken: bool) -> None:
        self._value = value
        self._taken = taken
        self.acknowledged: list[str] = []

    def __call__(self, *_: object, **__: object) -> System:
        return self

    def __enter__(self) -> System:
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


def test_its_result_is_pulled_and_nobody_elses_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(_value(), taken=False)
    monkeypatch.setattr(smoke, "Client", system)
    smoke.run_smoke_test("https://there", "key")
    assert system.acknowledged == ["mine"]


def test_where_another_consumer_was_faster_it_is_read_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System(_value(), taken=True)
    monkeypatch.setattr(smoke, "Client", system)
    smoke.run_smoke_test("https://there", "key")
    assert system.acknowledged == []


@pytest.mark.parametrize("taken", [False, True])
def test_a_wrong_value_is_told(monkeypatch: pytest.MonkeyPatch, taken: bool) -> None:
    monkeypatch.setattr(smoke, "Client", System("00", taken=taken))
    with pytest.raises(smoke.SmokeError, match="wrong"):
        smoke.run_smoke_test("https://there", "key")
