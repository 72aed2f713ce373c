"""Tokens of an issuer open a running manager beside its keys, for as long and as far as they say."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from manager.jwt.verification import LEEWAY_SECONDS
from tests.acceptance.manager.conftest import Start
from tests.acceptance.manager.manager_program import ManagerProgram
from tests.token_issuer import AUDIENCE, KEYS_PATH, TokenIssuer
from tests.waiting import until
from workmanager.local.valkey import ValkeyServer

OPERATOR = "a-key-of-the-environment"


@pytest.fixture(scope="module")
def issuer() -> Iterator[TokenIssuer]:
    with TokenIssuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory, issuer: TokenIssuer) -> Iterator[ManagerProgram]:
    """A manager that takes the issuer's tokens, for all tests of this module."""
    server = ValkeyServer(tmp_path_factory.mktemp("valkey"), settings={"appendfsync": "no"})
    server.start()
    settings = {"OIDC_ISSUER": issuer.url, "OIDC_AUDIENCE": AUDIENCE, "OIDC_QUEUES_CLAIM": "queues"}
    program = ManagerProgram(tmp_path_factory.mktemp("managers"), server.url, API_KEYS=OPERATOR, **settings)
    yield program.wait_until_ready()
    program.kill()
    server.kill()
    assert "Traceback" not in program.log


def send(
    manager: ManagerProgram, token: str, method: str = "GET", path: str = "/jobs", job: dict[str, str] | None = None
) -> httpx.Response:
    # Without TLS there are no certificates to read, which takes longer than a request.
    with httpx.Client(base_url=manager.url, timeout=90, verify=False) as client:
        return client.request(method, path, headers={"Authorization": f"Bearer {token}"}, json=job)


def submit(manager: ManagerProgram, token: str, queue: str, job_id: str) -> int:
    return send(manager, token, "POST", "/jobs", {"function": "noop", "queue": queue, "id": job_id}).status_code


def test_a_token_opens_what_it_says_and_the_log_names_its_subject(manager: ManagerProgram, issuer: TokenIssuer) -> None:
    reader = issuer.token("openid jobs:read", queues="*", sub="a b\nevent=x")
    bound = issuer.token("jobs:read jobs:write", queues=["reports-*"])
    until(lambda: send(manager, reader).status_code == 200, wanted="the issuer's keys")
    assert submit(manager, OPERATOR, "secret", "theirs") == 201
    assert submit(manager, bound, "reports-a", "ours") == 201
    assert submit(manager, bound, "secret", "smuggled") == 403
    assert send(manager, bound, path="/jobs/theirs").status_code == 404
    assert [job["id"] for job in send(manager, bound).json()["jobs"]] == ["ours"]
    assert {job["id"] for job in send(manager, reader).json()["jobs"]} == {"ours", "theirs"}
    assert send(manager, reader, "PUT", "/enqueue?iterations=1").status_code == 403
    for refused in (
        *(issuer.token(queues="*", aud="other"), issuer.token(), issuer.token(queues="*", exp=int(time.time()) - 31)),
        *(reader[:-4] + "AAAA", "a.b.c", issuer.token(queues="*", padding="x" * 9000)),
    ):
        answer = send(manager, refused, path="/jobs?limit=7")
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:workmanager:problem:unauthorized")
    until(lambda: manager.log.count(" status=401 ") == 6, wanted="the lines of the access log")
    (line,) = [line for line in manager.log.splitlines() if "path=/enqueue" in line]
    assert line.endswith(" key=sub:a%20b%0Aevent%3Dx")
    assert not any("key=" in line for line in manager.log.splitlines() if " status=401 " in line)
    assert reader.split(".")[1] not in manager.log


def test_a_new_key_of_the_issuer_is_known_at_once_and_forged_ones_cost_it_nothing(
    manager: ManagerProgram, issuer: TokenIssuer
) -> None:
    before = issuer.token("jobs:read", queues="*")
    until(lambda: send(manager, before).status_code == 200, wanted="the issuer's keys")
    fetches = issuer.requests.count(KEYS_PATH)
    issuer.rotate()
    after = issuer.token("jobs:read", queues="*")
    first = send(manager, after)
    assert first.status_code in (200, 503), first.text
    if first.status_code == 503:
        assert first.headers["Retry-After"] == "1"
    until(lambda: send(manager, after).status_code == 200, seconds=15, wanted="the new key")
    assert send(manager, before).status_code == 401
    with ThreadPoolExecutor(8) as pool:
        forged = [issuer.token("admin", queues="*", kid=f"forged-{number}") for number in range(100)]
        assert {answer.status_code for answer in pool.map(lambda each: send(manager, each), forged)} == {401}
    assert issuer.requests.count(KEYS_PATH) == fetches + 1
    assert send(manager, after).status_code == 200


def test_tokens_are_taken_while_the_issuer_is_away(manager: ManagerProgram, issuer: TokenIssuer) -> None:
    until(lambda: send(manager, issuer.token(queues="*")).status_code == 200, wanted="the issuer's keys")
    issuer.leave()
    try:
        assert send(manager, issuer.token(queues="*", sub="bob")).status_code == 200
        assert send(manager, issuer.token(queues="*", kid="unknown")).status_code in (401, 503)
        assert send(manager, issuer.token(queues="*", sub="carol")).status_code == 200
    finally:
        issuer.listen()


def test_a_pull_that_waits_ends_with_its_token(manager: ManagerProgram, issuer: TokenIssuer) -> None:
    until(lambda: send(manager, issuer.token(queues="*")).status_code == 200, wanted="the issuer's keys")
    token = issuer.token("results:pull", queues="*", exp=int(time.time()) + 4 - LEEWAY_SECONDS)
    assert send(manager, token, "POST", "/pullCompleted?top=1").status_code == 200
    assert send(manager, token, "POST", "/pullCompleted?top=1&wait=5").status_code == 401


def test_a_manager_whose_issuer_was_never_there_takes_its_keys_and_no_token(
    start: Start, private_server: ValkeyServer
) -> None:
    with TokenIssuer() as absent:
        token = absent.token("admin")
    settings = {"OIDC_ISSUER": absent.url, "OIDC_AUDIENCE": AUDIENCE}
    program = start(private_server.url, API_KEYS=OPERATOR, **settings)
    try:
        program.wait_until_ready()
        refused = send(program, token)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert send(program, OPERATOR).status_code == 200
        until(lambda: "event=issuer_unavailable" in program.log, wanted="a line in the log")
        absent.listen()
        until(lambda: send(program, token).status_code == 200, wanted="the issuer is back")
        until(lambda: "event=issuer_available" in program.log, wanted="a line in the log")
    finally:
        absent.leave()
    assert program.stop() == 0
    assert "HTTP Request" not in program.log
