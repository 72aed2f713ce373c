"""Two managers with a receiver of alerts: a failed job is told by one of them, once."""

import httpx

from jobqueue import keys
from tests.acceptance.manager.callback_receiver import Receiver
from tests.acceptance.manager.conftest import Start, Worker
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer


def test_dead_letters_are_told_once_by_one_of_two_managers(
    start: Start, redis_url: str, shared_server: ValkeyServer, worker: Worker
) -> None:
    with Receiver() as receiver:
        managers = [start(redis_url, ALERT_URL=receiver.url, CLUSTER_NAME="production") for _ in range(2)]
        for manager in managers:
            manager.wait_until_ready()
        until(lambda: shared_server.command("EXISTS", keys.alerts("rq")), wanted="the first look")
        with httpx.Client(base_url=managers[0].url, verify=False) as http:
            http.put("/enqueue?iterations=1", content=b"x").raise_for_status()
        worker.fail_all()
        until(lambda: receiver.requests, wanted="the alert")
        told = until(lambda: [m for m in managers if "event=alert_began" in m.log], wanted="the line in the log")
        assert len(told) == 1
        (request,) = receiver.requests
        (alert,) = request.event["alerts"]
        assert (alert["kind"], alert["status"]) == ("dead_letters", "began")
        assert request.event["text"] == "production: began: failed jobs: 1"
