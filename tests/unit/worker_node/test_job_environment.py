"""Which variables of the worker's environment its jobs see."""

import pytest

from worker_node.job_environment import job_environment, kept_from_jobs, parse_names
from worker_node.settings import read_settings

PROGRAMS = {"PATH": "/bin", "LC_TIME": "C", "PYTHONPATH": "functions", "OMP_NUM_THREADS": "1"}
SECRETS = {
    "AWS_ACCESS_KEY_ID": "A",
    "AWS_SECRET_ACCESS_KEY": "B",
    "AWS_SESSION_TOKEN": "C",
    "GITHUB_TOKEN": "D",
    "https_proxy": "http://user:password@proxy",
}
OURS = {"WORKMANAGER_REDIS_URL": "redis://:password@host", "WORKMANAGER_API_KEYS": "key"}
HTTP = {"WORKMANAGER_HTTP_ALLOW": "localhost"}


def test_jobs_see_what_programs_need_and_no_secret() -> None:
    assert job_environment({**PROGRAMS, **SECRETS, **OURS, **HTTP}, ()) == {**PROGRAMS, **HTTP}


def test_the_operator_names_more_by_name_and_by_beginning() -> None:
    app = {"DATABASE_URL": "a", "APP_MODE": "b", "APP_": "c"}
    others = {"DATABASE_URL_2": "d", "APP": "e"}
    assert job_environment({**app, **others, **OURS}, parse_names("DATABASE_URL, APP_*,")) == app
    assert job_environment({**app, **others, **OURS}, parse_names("*")) == {**app, **others}
    assert job_environment(OURS, parse_names("WORK*")) == {}, "the system's own settings stay its own"


def test_names_that_jobs_do_not_see_are_listed_without_the_systems_own() -> None:
    environ = {**PROGRAMS, **SECRETS, **OURS, **HTTP}
    assert kept_from_jobs(environ, job_environment(environ, ["AWS_*", "https_proxy"])) == ["GITHUB_TOKEN"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A*B", "'A*B' is neither a variable's name nor the beginning of names followed by '*'"),
        ("PATH, APP MODE", "'APP MODE' is neither a variable's name"),
        ("PATH, DATABASE_URL=postgresql://me:hush@host", "'DATABASE_URL' has a value here: give its name alone"),
        ("WORKMANAGER_API_KEYS", "'WORKMANAGER_API_KEYS': jobs never see WORKMANAGER_…"),
        ("WORKMANAGER_*", "'WORKMANAGER_*': jobs never see WORKMANAGER_…"),
    ],
)
def test_a_wrong_setting_ends_the_worker_with_one_line(
    text: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        read_settings({"WORKMANAGER_JOB_ENVIRONMENT": text})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("WORKMANAGER_JOB_ENVIRONMENT: ")
    assert reason in line
    assert "hush" not in line
