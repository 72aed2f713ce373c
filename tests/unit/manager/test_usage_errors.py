"""Wrong settings and arguments of `python -m manager` end it before it listens, with one line that names them."""

import os

import pytest

from manager import __main__ as program


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (["--host", "0.0.0.0"], {}, "WORKMANAGER_API_KEYS"),
        ([], {"API_KEYS": "long-enough-to-be-one,hunter2"}, "WORKMANAGER_API_KEYS: a key has fewer than 16 characters"),
        ([], {"OIDC_ISSUER": "https://id.example"}, "WORKMANAGER_OIDC_AUDIENCE"),
        ([], {"OIDC_ISSUER": "https://id.example", "OIDC_AUDIENCE": "jobs"}, "WORKMANAGER_API_KEYS"),
        ([], {"OIDC_CLIENT_ID": "dashboard"}, "WORKMANAGER_OIDC_ISSUER, where people sign in"),
        ([], {"OIDC_REQUEST_SCOPES": "jobs:read"}, "must have openid among the scopes"),
        (
            [],
            {"OIDC_ISSUER": "http://id.example", "OIDC_AUDIENCE": "jobs", "API_KEYS": "a-key-of-some-length"},
            "WORKMANAGER_OIDC_ISSUER: must begin with https://",
        ),
        (["--scaler", "ec2"], {}, "WORKMANAGER_LAUNCH_TEMPLATE"),
        ([], {"BUDGET_PER_HOUR": "5"}, "WORKMANAGER_PRICE_PER_HOUR"),
        ([], {"BUDGET_PER_HOUR": "inf", "PRICE_PER_HOUR": "1"}, "WORKMANAGER_BUDGET_PER_HOUR"),
        ([], {"WAIT_WEIGHT": "inf"}, "WORKMANAGER_WAIT_WEIGHT"),
        ([], {"MIN_WORKERS_SCHEDULE": "many"}, "WORKMANAGER_MIN_WORKERS_SCHEDULE"),
        (["--scaler", "k8s"], {}, "--scaler"),
        (["--port", "99999"], {}, "--port"),
        (["--prot", "5000"], {}, "--prot"),
        (["--redis-url", "http://localhost"], {}, "WORKMANAGER_REDIS_URL"),
        ([], {"REDIS_URL": "nowhere"}, "WORKMANAGER_REDIS_URL"),
        ([], {"REDIS_URL": "redis://h:6379?db=3"}, "WORKMANAGER_REDIS_URL: the option 'db' is not supported"),
        ([], {"CLUSTER_URL": "nowhere"}, "WORKMANAGER_CLUSTER_URL"),
        ([], {"CLUSTER_URL_FILE": "/dev/null"}, "WORKMANAGER_CLUSTER_URL: the URL names no Redis server"),
        ([], {"WORKER_REDIS_URL_FILE": "/dev/null"}, "WORKMANAGER_WORKER_REDIS_URL: the URL names no Redis server"),
        ([], {"WORKER_REDIS_URL": "nowhere"}, "WORKMANAGER_WORKER_REDIS_URL: the URL must start with redis://"),
        (
            ["--scaler", "local"],
            {"REDIS_URL": "redis://manager:hunter2@h"},
            "WORKMANAGER_WORKER_REDIS_URL: set it to a URL with the user worker",
        ),
        (
            ["--scaler", "local"],
            {"REDIS_URL": "redis://manager:hunter2@h", "WORKER_REDIS_URL": "redis://manager:hunter2@h"},
            "WORKMANAGER_WORKER_REDIS_URL takes the user of the role worker, not manager",
        ),
        ([], {"CLUSTER_HOSTS": "10.0.0.1:6379"}, "WORKMANAGER_CLUSTER_HOSTS: needs three hosts"),
        ([], {"TRUSTED_PROXIES": "10.0.0.1/8"}, "WORKMANAGER_TRUSTED_PROXIES: 10.0.0.1/8 has host bits set"),
        ([], {"MAX_PAYLOAD_BYTES": "lots"}, "WORKMANAGER_MAX_PAYLOAD_BYTES"),
        ([], {"MAX_WORKERS": "-1"}, "WORKMANAGER_MAX_WORKERS"),
        ([], {"MIN_WORKERS": "5", "MAX_WORKERS": "2"}, "WORKMANAGER_MIN_WORKERS"),
        ([], {"ACCESS_LOG": "perhaps"}, "WORKMANAGER_ACCESS_LOG"),
        ([], {"LEASE_SECONDS": "0"}, "WORKMANAGER_LEASE_SECONDS"),
        ([], {"CALLBACK_ALLOW": "http://localhost"}, "WORKMANAGER_CALLBACK_ALLOW"),
        (
            [],
            {"CALLBACK_SECRETS": "whsec_hunter2"},
            "WORKMANAGER_CALLBACK_SECRETS: Value error, secret 1 must be",
        ),
        ([], {"CALLBACK_RETRY_INTERVALS": "5,0"}, "WORKMANAGER_CALLBACK_RETRY_INTERVALS"),
        ([], {"CALLBACK_TIMEOUT_SECONDS": "61"}, "WORKMANAGER_CALLBACK_TIMEOUT_SECONDS"),
        (["--scaler", "local"], {"ISOLATION": "sometimes"}, "WORKMANAGER_ISOLATION"),
        ([], {"FUNCTIONS": "no.such.module"}, "WORKMANAGER_FUNCTIONS"),
    ],
)
def test_a_usage_error_is_one_line(
    arguments: list[str],
    settings: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in [name for name in os.environ if name.startswith("WORKMANAGER_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(f"WORKMANAGER_{name}", value)
    # A manager that finds no error would serve for ever.
    monkeypatch.delattr(program, "listen")
    with pytest.raises(SystemExit) as ended:
        program.main(arguments)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert message in line
    assert "hunter2" not in printed.out + printed.err
