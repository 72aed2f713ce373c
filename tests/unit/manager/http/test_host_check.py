"""Who may use a manager without keys: its own pages and programs, under its own names."""

import pytest

from manager.http.host_check import HostCheck
from manager.http.problems import Problem

LOCAL = HostCheck((), has_keys=False)
NAMED = HostCheck(("jobs.example", "*.lan", "192.0.2.7", "fe80::1"), has_keys=False)
WITH_KEYS = HostCheck((), has_keys=True)
NAMED_WITH_KEYS = HostCheck(("jobs.example",), has_keys=True)
CROSS_SITE = {b"sec-fetch-site": b"cross-site"}


def status(check: HostCheck, host: bytes | None, fields: dict[bytes, bytes] | None = None, path: str = "/jobs") -> int:
    """Return the status of a request; 200 if it may pass."""
    try:
        check.check(path, ({} if host is None else {b"host": host}) | (fields or {}))
    except Problem as problem:
        return problem.status
    return 200


@pytest.mark.parametrize(
    "host",
    [
        *(b"localhost", b"LOCALHOST:5000", b"localhost.", b"queue.localhost:5000"),
        *(b"127.0.0.1", b"127.0.0.1:5000", b"127.9.9.9:1", b"[::1]", b"[::1]:5000 "),
    ],
)
def test_the_machine_itself_is_always_a_host(host: bytes) -> None:
    for check in (LOCAL, NAMED, WITH_KEYS, NAMED_WITH_KEYS):
        for _ in range(2):
            assert status(check, host) == 200


@pytest.mark.parametrize(
    "host",
    [
        *(b"attacker.example", b"attacker.example:5000", b"127.0.0.1.attacker.example", b"localhost.attacker.example"),
        *(b"attacker-localhost", b"0.0.0.0", b"[::]:5000", b"192.0.2.1", b"", b":5000", b"2130706433"),
    ],
)
def test_a_name_that_leads_here_by_somebody_elses_dns_is_refused(host: bytes) -> None:
    for _ in range(2):
        assert status(LOCAL, host) == 421
        assert status(LOCAL, host, path="/healthz") == 421
        assert status(WITH_KEYS, host) == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((b"jobs.example", 200), (b"Jobs.Example.:443", 200), (b"a.lan", 200), (b"a.b.lan:1", 200)),
        *((b"192.0.2.7:80", 200), (b"[fe80::1]:80", 200), (b"www.jobs.example", 421), (b"alan", 421), (b"lan", 421)),
    ],
)
def test_an_operator_can_name_hosts(host: bytes, expected: int) -> None:
    assert status(NAMED, host) == expected


def test_with_keys_named_hosts_are_the_only_ones_but_for_health_checks() -> None:
    assert status(NAMED_WITH_KEYS, b"jobs.example") == 200
    assert status(NAMED_WITH_KEYS, b"10.0.0.5:5000") == 421
    assert status(NAMED_WITH_KEYS, b"10.0.0.5:5000", path="/readyz") == 200
    assert status(NAMED_WITH_KEYS, b"10.0.0.5:5000", path="/healthz") == 200


def test_programs_that_name_no_host_are_served() -> None:
    assert status(LOCAL, None) == 200


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({b"sec-fetch-site": b"same-origin", b"origin": b"http://localhost:5000"}, 200),
        ({b"sec-fetch-site": b"none"}, 200),
        ({b"origin": b"http://LOCALHOST:5000"}, 200),
        ({b"origin": b"https://localhost:5000"}, 200),
        (CROSS_SITE, 403),
        ({b"sec-fetch-site": b"same-site"}, 403),
        ({b"origin": b"http://localhost:8000"}, 403),
        ({b"origin": b"https://attacker.example"}, 403),
        ({b"origin": b"null"}, 403),
        # A link, a form, a picture, a frame.
        (CROSS_SITE | {b"sec-fetch-mode": b"navigate", b"sec-fetch-dest": b"document"}, 200),
        (
            CROSS_SITE
            | {b"sec-fetch-mode": b"navigate", b"sec-fetch-dest": b"document", b"origin": b"https://attacker.example"},
            403,
        ),
        (CROSS_SITE | {b"sec-fetch-mode": b"no-cors", b"sec-fetch-dest": b"image"}, 403),
        (CROSS_SITE | {b"sec-fetch-mode": b"navigate", b"sec-fetch-dest": b"iframe"}, 403),
    ],
)
def test_only_its_own_pages_may_use_a_manager_without_keys(fields: dict[bytes, bytes], expected: int) -> None:
    assert status(LOCAL, b"localhost:5000", fields) == expected
    assert status(WITH_KEYS, b"localhost:5000", fields) == 200
