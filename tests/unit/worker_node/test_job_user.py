"""Executors as a user of their own: which users are taken, and what is left of the worker's rights."""

import pwd
import subprocess
import sys

import pytest

from tests import another_user
from worker_node.job_user import OWN_USER, find_job_user
from worker_node.settings import read_settings

# A worker with these rights that is not root, as under systemd with AmbientCapabilities.
WORKER = ("setpriv", "--reuid", "1", "--regid", "1", "--clear-groups", "--no-new-privs")
RIGHTS = "-all,+setuid,+setgid,+kill"


def test_executors_have_the_workers_user_unless_another_is_named() -> None:
    assert find_job_user(read_settings({}).executor_user) is OWN_USER


@pytest.mark.parametrize(
    ("name", "message"), [("no-such-user", "there is no user 'no-such-user'"), ("root", "'root' is root")]
)
def test_users_that_executors_cannot_have_are_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_job_user(name)


@pytest.mark.skipif(not another_user.IS_POSSIBLE, reason=another_user.REASON)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (pwd.getpwuid(another_user.UID).pw_name, "is the user of the worker itself"),
        ("daemon", "the worker needs CAP_KILL, CAP_SETGID, CAP_SETUID"),
    ],
)
def test_a_worker_without_rights_is_told_what_it_lacks(name: str, message: str) -> None:
    program = f"from worker_node.job_user import find_job_user; find_job_user({name!r})"
    command = [*another_user.PREFIX, sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"ValueError: {name!r} {message}" in ended.stderr or f"ValueError: {message}" in ended.stderr


@pytest.mark.skipif(not another_user.IS_POSSIBLE, reason=another_user.REASON)
@pytest.mark.parametrize("worker", [(), (*WORKER, "--inh-caps", RIGHTS, "--ambient-caps", RIGHTS)])
def test_an_executor_has_no_right_of_its_worker(worker: tuple[str, ...]) -> None:
    user = find_job_user("nobody")
    command = [*worker, *user.command, "cat", "/proc/self/status"]
    status = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    uid = str(pwd.getpwnam("nobody").pw_uid)
    assert fields["Uid"].split() == [uid] * 4
    assert fields["Groups"].split() == []
    assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    assert dict(user.environment)["USER"] == "nobody"
