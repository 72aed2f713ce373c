"""What the pages show, and what their buttons do, without a browser's scripts."""

import json

import httpx
import pytest

from tests.acceptance.dashboard.pages import Visitor
from tests.acceptance.manager.conftest import Worker
from tests.acceptance.manager.manager_program import ManagerProgram
from workmanager.local.valkey import ValkeyServer

HOSTILE = "\"><script>alert(1)</script>'{{7*7}}"


def submit(api: httpx.Client, **options: object) -> str:
    answer = api.post("/jobs", json={"function": "noop", **options})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_the_overview_counts_jobs_and_says_why_they_wait(api: httpx.Client, visitor: Visitor) -> None:
    for _ in range(3):
        submit(api)
    submit(api, delay=600)
    visitor.press(visitor.open("/dashboard/queues"), "Pause queue default")
    text = visitor.open("/").text
    assert "Waiting 3" in text
    assert "Scheduled 1" in text
    assert "What needs a person" in text
    assert "3 jobs wait: queue 'default' is paused" in text
    assert "3 jobs wait: no worker is registered" in text


def test_a_queue_is_paused_and_resumed_with_a_button(api: httpx.Client, visitor: Visitor) -> None:
    submit(api, queue="a")
    paused = visitor.press(visitor.open("/dashboard/queues"), "Pause queue a")
    assert "The queue is paused" in paused.text
    assert "paused" in paused.row("a")[1]
    assert [queue["paused"] for queue in api.get("/queues").json()["queues"]] == [True]
    resumed = visitor.press(paused, "Resume queue a")
    assert "The queue is resumed" in resumed.text
    assert resumed.row("a")[1] == "unserved"


def test_of_many_queues_those_are_shown_that_need_a_look(
    api: httpx.Client, visitor: Visitor, server: ValkeyServer
) -> None:
    server.command("SADD", "rq:queues", *(f"rq:queue:q{number:03}" for number in range(130)))
    submit(api, queue="q125")
    page = visitor.open("/dashboard/queues")
    assert len(page.rows) == 1 + 100
    assert page.row("q125")
    assert "100 of 130 queues" in page.text
    assert [row[0] for row in visitor.open("/dashboard/queues?name=Q12").rows[1:]] == [f"q12{n}" for n in range(10)]


def test_pages_are_compressed_and_neither_streams_nor_answers_of_the_api(
    api: httpx.Client, server: ValkeyServer
) -> None:
    server.command("SADD", "rq:queues", *(f"rq:queue:{'q' * 100}{number:03}" for number in range(130)))
    page, api_answer = api.get("/dashboard/queues"), api.get("/queues")
    assert (page.headers["Content-Encoding"], "Content-Encoding" in api_answer.headers) == ("gzip", False)
    assert "Accept-Encoding" in page.headers["Vary"]
    assert int(page.headers["Content-Length"]) * 10 < len(page.content)
    for accepted in ("identity", "identity, gzip;q=0"):
        plain = api.get("/dashboard/queues", headers={"Accept-Encoding": accepted})
        assert "Content-Encoding" not in plain.headers
    with api.stream("GET", "/dashboard/events?page=queues") as events:
        assert "Content-Encoding" not in events.headers
    sizes = {int(api.get("/dashboard/queues").headers["Content-Length"]) for _ in range(20)}
    # Random bytes of one length differ by a few when compressed.
    assert max(sizes) - min(sizes) > 20, "the length tells how much could be compressed"


def test_names_that_clients_choose_are_text_on_every_page(
    api: httpx.Client, visitor: Visitor, server: ValkeyServer
) -> None:
    server.command("SADD", "rq:queues", f"rq:queue:{HOSTILE}")
    server.command("RPUSH", f"rq:queue:{HOSTILE}", "some-job")
    for path in ("/", "/dashboard/queues"):
        page = visitor.open(path)
        assert "<script>alert" not in page.html
    assert page.row(HOSTILE)[0] == HOSTILE
    paused = visitor.press(page, f"Pause queue {HOSTILE}")
    assert "paused" in paused.row(HOSTILE)[1]


def test_open_pages_are_sent_what_changes(api: httpx.Client, visitor: Visitor) -> None:
    with api.stream("GET", "/dashboard/events?page=queues") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = (line for line in stream.iter_lines() if line.startswith(("event", "data")))
        assert next(lines) == "event: part"
        assert "There is no queue yet" in json.loads(next(lines).removeprefix("data: "))
        submit(api, queue="new")
        assert next(lines) == "event: part"
        assert "new" in json.loads(next(lines).removeprefix("data: "))


def test_an_open_page_does_not_delay_the_end_of_a_manager(
    server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    manager = ManagerProgram(tmp_path_factory.mktemp("stopped"), server.url).wait_until_ready()
    with manager.client() as client, client.stream("GET", "/dashboard/events?page=overview") as stream:
        events = stream.iter_lines()
        assert next(events) == "event: part"
        assert manager.stop() == 0
        assert [line for line in events if line.startswith("event: ended")] == []


def test_a_head_request_for_the_stream_is_answered_and_over(api: httpx.Client) -> None:
    assert api.head("/dashboard/events?page=overview").status_code == 200
    assert api.get("/healthz", timeout=10).is_success  # on the same connection


def test_errors_are_pages_for_people_and_problems_for_programs(api: httpx.Client, visitor: Visitor) -> None:
    page = visitor.open("/dashboard/nowhere")
    assert page.status == 404
    assert "The path does not exist" in page.text
    assert api.get("/dashboard/nowhere").json()["type"] == "urn:workmanager:problem:no-such-route"
    assert visitor.open("/dashboard/queues?unknown=1").status == 400


def test_pages_load_nothing_from_elsewhere_and_allow_no_inline_code(api: httpx.Client, visitor: Visitor) -> None:
    answer = api.get("/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    for attribute in (" style=", " onclick=", "<style", "http://", "https://"):
        assert attribute not in answer.text.replace("http://www.w3.org/", "")
    for path in ("dashboard.css", "dashboard.js", "icon.svg"):
        assert f"/dashboard/{path}?v=" in answer.text
        assert api.get(f"/dashboard/{path}").is_success


def test_pages_work_below_a_path_prefix(server: ValkeyServer, prefixed: ManagerProgram) -> None:
    server.command("FLUSHALL")
    with prefixed.client() as client:
        visitor = Visitor(client)
        page = visitor.open("/queue/")
        assert page.links["Queues"] == "/queue/dashboard/queues"
        assert 'data-stream="/queue/dashboard/events?page=overview"' in page.html
        submit(client, queue="a")
        paused = visitor.press(visitor.open("/queue/dashboard/queues"), "Pause queue a")
        assert "The queue is paused" in paused.text


def test_workers_are_counted(api: httpx.Client, visitor: Visitor, server: ValkeyServer) -> None:
    submit(api)
    Worker(server.url).claim()
    assert "Running 1" in visitor.open("/").text


def test_a_page_that_reads_itself_is_told_to_at_once_and_at_each_change(api: httpx.Client) -> None:
    """What has changed between its making and its connection would be missed otherwise."""
    with api.stream("GET", "/dashboard/events?page=changes") as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("event"))
        assert next(lines) == "event: changed"
        submit(api, queue="new")
        assert next(lines) == "event: changed"
