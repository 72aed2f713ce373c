"""The HTTP load generator, against a real server."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.harness.http_load import LoadGenerator, UnexpectedAnswer, percentile, repeat_forever, request


@contextlib.contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler, bytes], None]) -> Iterator[int]:
    """Run a server that answers every PUT with `answer`; yield its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_PUT(self) -> None:
            answer(self, self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def generating(
    port: int, connections: int, on_answer: Callable[[bytes], None] | None = None
) -> Iterator[LoadGenerator]:
    generator = LoadGenerator(port, connections, on_answer=on_answer)
    try:
        yield generator
    finally:
        generator.close()


def echo(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def echo_in_chunks(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for byte in body:
        handler.wfile.write(b"1\r\n%c\r\n" % byte)
    handler.wfile.write(b"0\r\n\r\n")


@pytest.mark.parametrize("answer", [echo, echo_in_chunks])
def test_every_request_is_sent_once_and_its_answer_read(answer: Callable[..., None]) -> None:
    bodies = [f"job {number}".encode() for number in range(50)]
    answers: list[bytes] = []
    with serving(answer) as port, generating(port, 4, on_answer=answers.append) as generator:
        load = generator.closed_loop([request("PUT", "/", body) for body in bodies], warm_up_seconds=0.0, seconds=30.0)
    assert sorted(answers) == sorted(bodies)
    assert len(load.latencies) == 50
    assert load.answers_per_second == pytest.approx(50 / load.seconds)


def test_an_error_ends_the_load() -> None:
    def refuse(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_error(503)

    with (
        serving(refuse) as port,
        generating(port, 1) as generator,
        pytest.raises(UnexpectedAnswer, match="status 503 instead of 200"),
    ):
        generator.closed_loop(repeat_forever([request("PUT", "/")]), warm_up_seconds=0.0, seconds=5.0)


def test_a_closed_connection_ends_the_load() -> None:
    def hang_up(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.close_connection = True

    with (
        serving(hang_up) as port,
        generating(port, 1) as generator,
        pytest.raises(UnexpectedAnswer, match="closed the connection"),
    ):
        generator.closed_loop(repeat_forever([request("PUT", "/")]), warm_up_seconds=0.0, seconds=5.0)


def test_open_loop_latency_includes_the_wait_for_a_stalled_server() -> None:
    stalls = itertools.chain((0.3,), itertools.repeat(0.0))

    def stall_once(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        time.sleep(next(stalls))
        echo(handler, body)

    with serving(stall_once) as port, generating(port, 1) as generator:
        load = generator.open_loop(
            repeat_forever([request("PUT", "/")]), per_second=100, warm_up_seconds=0.0, seconds=0.5
        )
    assert len(load.latencies) == 50
    # Requests due during the stall waited for its end, although each was answered as soon as it was sent.
    assert sum(latency > 0.1 for latency in load.latencies) >= 15
    assert load.late >= 15


def test_an_open_loop_keeps_the_requested_rate() -> None:
    with serving(echo) as port, generating(port, 8) as generator:
        load = generator.open_loop(
            repeat_forever([request("PUT", "/")]), per_second=100, warm_up_seconds=0.1, seconds=0.5
        )
    assert len(load.latencies) == pytest.approx(50, abs=1)
    assert load.seconds >= 0.45


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100)])
def test_a_percentile_is_a_measured_value(share: float, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == value
