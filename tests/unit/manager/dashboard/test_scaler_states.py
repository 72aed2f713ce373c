"""The page of the scaler tells at first sight what state the scaler is in, and why it launches nothing."""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import Request

from manager.dashboard.api import Api
from manager.dashboard.document_pages import DocumentPages
from manager.dashboard.rendering import Pages
from manager.dashboard.sampler import Sample, Sampler
from manager.queue.connection import QueueConnection
from manager.routes.scaler import ScalerRoutes
from manager.settings import ManagerSettings
from scaler.state.launch_breaker import FAILED_BOOTS_TO_OPEN, LaunchBreaker
from scaler.view import ScalerView
from tests.unit.manager.dashboard.test_findings import LEADER, NO_BOOTS, NO_POOL, NOW, scaler

COOLING = LaunchBreaker({"spot-a": NOW + 60}, last_failure="InsufficientInstanceCapacity in a")
COOLED = LaunchBreaker({"spot-a": NOW - 1}, last_failure="InsufficientInstanceCapacity in a")
LIMIT_REACHED = "KEEP 3: the maximum of 3 is reached; queued=9"
DECIDES_NOTHING = "The leader has decided nothing for 1 min 30 s: read its log"
NEVER_WORKERS = f"The last {FAILED_BOOTS_TO_OPEN} launched instances have not become workers"
NEVER_REGISTERED = f"Last failed launch: the workers of {FAILED_BOOTS_TO_OPEN}"
HELD_BACK = "Last failed launch: InsufficientInstanceCapacity in a Not tried for now: spot-a"
NOT_HELD_BACK = "Launches are not held back. Last failed launch: InsufficientInstanceCapacity in a"
STATES: Mapping[str, tuple[ScalerView, str, list[str]]] = {
    "it runs": (scaler(LIMIT_REACHED), "running", ["Now: More workers would help, but there may be no more than 3."]),
    "nobody runs it": (scaler(leadership=None), "no manager runs it", []),
    "it is paused": (scaler(paused=True), "paused", []),
    "its leader is stale": (
        scaler(LIMIT_REACHED, decided_at=NOW - 90),
        "decides nothing",
        [DECIDES_NOTHING, "Last decided: More workers would help"],
    ),
    "it was paused, and its leader is stale": (scaler(decided_at=NOW - 90, paused=True), "paused", [DECIDES_NOTHING]),
    "instances never become workers": (scaler(breaker=NO_BOOTS), "running", [NEVER_WORKERS, NEVER_REGISTERED]),
    "no capacity": (scaler(NO_POOL, breaker=COOLING), "running", [HELD_BACK]),
    "no capacity in one pool of several": (scaler(LIMIT_REACHED, breaker=COOLING), "running", [NOT_HELD_BACK]),
    "capacity again": (scaler(breaker=COOLED), "running", [NOT_HELD_BACK]),
}
ARE_BAD = {DECIDES_NOTHING, NEVER_WORKERS, NEVER_REGISTERED, HELD_BACK}


class OneSample:
    """Stands for the sampler of a large system, whose pages show the last sample."""

    def __init__(self, view: ScalerView) -> None:
        report = None if view.report is None else {**view.report, "fleet": "ec2:jobs"}
        self._sample = Sample(1, NOW, NOW, scaler=replace(view, report=report))

    def last_of_many(self) -> Sample:
        return self._sample


async def open_page(view: ScalerView) -> str:
    api = SimpleNamespace(scaler=ScalerRoutes(cast(QueueConnection, None), ManagerSettings()))
    pages = DocumentPages(Pages("", asks_for_keys=False), cast(Sampler, OneSample(view)), cast(Api, api), 0.0)
    scope: dict[str, Any] = {"type": "http", "query_string": b"", "path_params": {}}
    return bytes((await pages.scaler(Request(scope))).body).decode()


def words(html: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", html).replace("&#39;", "'").split())


@pytest.mark.parametrize("name", STATES)
async def test_each_state_is_told_and_no_other(name: str) -> None:
    view, state, sentences = STATES[name]
    html = await open_page(view)
    text, leader = words(html), "none" if view.leadership is None else LEADER.address.replace(":", " :")
    assert f"State {state} Leader {leader} Instances" in text
    for sentence in sentences:
        assert sentence in text
    notices = [words(found) for found in re.findall('<p class="notice bad">(.*?)</p>', html)]
    assert len(notices) == len(ARE_BAD.intersection(sentences)), notices
    assert ("Launches are not held back" in text) == (NOT_HELD_BACK in sentences)
    assert ('class="fact bad' in html) == (state != "running")
