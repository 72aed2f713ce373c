"""What a host does when AWS is slow, silent or refuses while it boots, and what its programs do."""

import http.server
import os
import re
import shutil
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import boto3
import pytest

ROOT = Path(__file__).parents[2]
COMMON = ROOT / "infra/userdata/common.sh"
BOOT = ROOT / "infra/host/boot.sh"
# Refuses the first calls of REFUSED: of attach-volume, as if the predecessor still had the disk.
AWS = """#!/bin/bash
echo "$1 $2" >>"$STATE/calls"
if [ "$1 $2" = "${REFUSED:-ec2 attach-volume}" ] && [ "$(grep -c "^$1 $2" "$STATE/calls")" -le "$REFUSALS" ]; then
    case "$1" in
    ec2) echo "An error occurred (VolumeInUse) when calling AttachVolume: vol-1 is already attached" >&2 ;;
    *) echo "An error occurred (AccessDenied) when calling an operation: not authorized" >&2 ;;
    esac
    exit 254
fi
"""
UNPACK_NOTHING = "BUNDLE=s3://b/x.tar.gz; metadata() { echo i-1; }; sha256sum() { cat; }; mkdir() { :; }; tar() { :; }"


def test_a_host_takes_the_disk_however_late_its_predecessor_gives_it_up(tmp_path: Path) -> None:
    """Sixty tries were too few: EC2 can need more than five minutes to stop a host."""
    attach = 'device=/nowhere; attach has_disk attach-volume --volume-id "vol-1" --device /dev/sdf'
    done = _run(tmp_path, f"{attach}; echo attached", REFUSALS="100", RETRY_SECONDS="0")
    assert done.stdout.splitlines()[-1] == "attached", done.stderr
    # It says why it waits, once.
    assert done.stderr.count("VolumeInUse") == 1
    _run(tmp_path, "")
    done = _run(tmp_path, f"IDENTITY_SECONDS=1; {attach}", REFUSALS="100000", RETRY_SECONDS="0.1")
    assert done.returncode == 1
    assert (
        "attach-volume --volume-id vol-1 --device /dev/sdf failed for 1 s: An error occurred (VolumeInUse)"
        in done.stderr
    )


def test_a_disk_is_attached_although_the_answer_was_lost(tmp_path: Path) -> None:
    """EC2 has attached it, and refuses every repetition."""
    device = tmp_path / "device"
    attach = f'device={device}; attach has_disk attach-volume --volume-id "vol-1"; echo attached'
    done = _run(tmp_path, f"(sleep 0.5; touch {device}) & {attach}", REFUSALS="100000", RETRY_SECONDS="0.1")
    assert done.stdout.splitlines()[-1] == "attached", done.stderr


@pytest.mark.parametrize(
    ("call", "command"),
    [
        ("s3 cp", f"{UNPACK_NOTHING}; unpack_bundle"),
        ("secretsmanager get-secret-value", "secret workmanager/api-keys"),
    ],
)
def test_a_host_waits_for_a_role_that_is_not_known_everywhere_yet(tmp_path: Path, call: str, command: str) -> None:
    done = _run(tmp_path, command, REFUSED=call, REFUSALS="3", RETRY_SECONDS="0")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "state/calls").read_text().splitlines() == [call] * 4
    done = _run(tmp_path, command, REFUSED=call, REFUSALS="100000", RETRY_SECONDS="0.1", PATIENCE_SECONDS="1")
    assert done.returncode != 0
    assert "AccessDenied" in done.stderr
    for line in (ROOT / "infra/userdata/worker.sh").read_text().splitlines():
        assert "aws " not in line.partition("#")[0] or "patiently aws " in line


def test_a_value_of_a_secret_that_need_not_exist_is_not_waited_for(tmp_path: Path) -> None:
    call = "secretsmanager get-secret-value"
    assert _run(tmp_path, "secret workmanager/store/worker AWSPENDING", REFUSED=call, REFUSALS="9").returncode != 0
    assert (tmp_path / "state/calls").read_text().splitlines() == [call]


def test_a_host_that_cannot_boot_tells_it_and_powers_off(tmp_path: Path) -> None:
    """Its group starts another one in its place."""
    done = _run(
        tmp_path, 'trap give_up_host EXIT; shutdown() { echo "shutdown $*"; }; false', GIVE_UP_SECONDS="0", REFUSALS="0"
    )
    assert "event=manager_boot step=failed" in done.stdout
    assert done.stdout.splitlines()[-1] == "shutdown -h now"
    calls = (tmp_path / "state/calls").read_text().splitlines()
    assert calls == ["cloudwatch put-metric-data", "cloudformation signal-resource"]
    for host in ("manager", "witness"):
        text = (ROOT / f"infra/userdata/{host}.sh").read_text()
        assert text.index("trap give_up_host EXIT") < text.index("\nunpack_bundle")
    # A manager that waits for the others must stay: two that take turns in powering off would never meet.
    manager = (ROOT / "infra/userdata/manager.sh").read_text()
    assert manager.index("trap 'say failed; signal FAILURE' EXIT") < manager.index("is_ready()")


@pytest.mark.parametrize(
    ("tries", "signal", "exit_code"), [("4", "--status SUCCESS", 0), ("1000000", "--status FAILURE", 1)]
)
def test_a_new_manager_counts_once_the_load_balancer_sends_it_clients(
    tmp_path: Path, tries: str, signal: str, exit_code: int
) -> None:
    """It is ready however many metrics it has. Its target is `initial` for a minute or two. Without waiting,
    CloudFormation would go on to the next manager:
    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
    """
    text = (ROOT / "infra/userdata/manager.sh").read_text()
    waiting = text[text.index("trap 'say failed; signal FAILURE' EXIT") :]
    setting = (
        f"work={tmp_path}/work STORES=6379:manager api_keys=k instance_id=i-1 TARGETS=t CLUSTER_NAME=c GROUP=ManagerA"
    )
    # The two programs that it asks.
    programs = (
        'curl() { case "$*" in */metrics) echo workmanager_cluster_replicas_missing 0 && seq 100000 ;; esac; }; '
        "systemctl() { false; }; sleep() { :; }; aws() { "
        f'echo "$*" >>{tmp_path}/asked; [ "$1" = elbv2 ] || return 0; '
        f'state=initial; [ "$(grep -c elbv2 {tmp_path}/asked)" -lt {tries} ] || state=healthy; '
        """printf '[{"TargetHealth": {"State": "%s"}}]' "$state" | python3 -m json.tool; }"""
    )
    (tmp_path / "work").mkdir()
    limits = f"READY_SECONDS=20 BALANCER_SECONDS={1 if exit_code else 300}"
    done = _run(tmp_path, f"{setting}; {limits}; {programs}; {waiting}")
    assert done.returncode == exit_code, done.stderr
    *asked, last = (tmp_path / "asked").read_text().splitlines()
    assert all(call.startswith("elbv2 describe-target-health") for call in asked)
    assert last.startswith("cloudformation signal-resource")
    assert signal in last
    if exit_code:
        assert "the load balancer does not use this manager after 1 s" in done.stderr
    else:
        assert len(asked) == int(tries)


@pytest.mark.parametrize("password", ["a#b", "p&q/r@s:t?", "100%", "ü \\ 'x' \"y\" $HOME", "PASSWORD"])
def test_a_password_with_any_characters_reaches_redis_as_it_is(tmp_path: Path, password: str) -> None:
    from redis.asyncio.connection import parse_url

    url = "rediss://user:PASSWORD@redis.example:6379?ssl_check_hostname=false"
    done = _run(tmp_path, 'password="$(cat | percent_encoded)"; echo "${URL//PASSWORD/"$password"}"', password, URL=url)
    assert done.returncode == 0, done.stderr
    assert parse_url(done.stdout.strip())["password"] == password
    for host in ("manager", "worker"):
        assert "percent_encoded" in (ROOT / f"infra/userdata/{host}.sh").read_text()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of connections that botocore gave up
def test_programs_of_hosts_get_credentials_from_a_metadata_service_that_is_silent_at_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four seconds, as seen on hosts that start many at a time. Botocore's default is one try of one second."""
    began = time.monotonic()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            time.sleep(max(0.0, began + 4 - time.monotonic()))
            with suppress(OSError):  # whoever asked has gone
                self._answer(b"token")

        def do_GET(self) -> None:
            keys = b'{"Code": "Success", "AccessKeyId": "k", "SecretAccessKey": "s", "Token": "t", "Expiration": "%s"}'
            if "X-aws-ec2-metadata-token" not in self.headers:
                self.send_error(401)  # the launch templates require IMDSv2
                return
            is_list = self.path.endswith("security-credentials/")
            self._answer(b"role" if is_list else keys % b"2099-01-01T00:00:00Z")

        def _answer(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    try:
        assert boto3.Session(region_name="us-east-1").get_credentials() is None
        for unit in ("manager", "worker", "metrics", "logs", "backup"):
            text = (ROOT / f"infra/host/units/workmanager-{unit}.service").read_text()
            (line,) = re.findall(r"^Environment=(AWS_METADATA.*)$", text, re.MULTILINE)
            assert f"export {line}" in COMMON.read_text()
        for setting in line.split():
            monkeypatch.setenv(*setting.split("="))
        assert boto3.Session(region_name="us-east-1").get_credentials() is not None
    finally:
        server.shutdown()
        server.server_close()


def _run(tmp_path: Path, commands: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run commands with the functions of a booting manager."""
    state, path = tmp_path / "state", tmp_path / "bin"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    path.mkdir(exist_ok=True)
    (path / "aws").write_text(AWS)
    (path / "aws").chmod(0o755)
    script = f"""
ROLE=manager CLUSTER_NAME=wm GROUP=ManagerA DISK=vol-1
. {COMMON}
. {BOOT}
work="$STATE" instance_id=i-1
{commands}
"""
    return subprocess.run(
        ["bash", "-c", script],
        env={
            **os.environ,
            "PATH": f"{path}:{os.environ['PATH']}",
            "STATE": str(state),
            "TMPDIR": str(state),
            **environ,
        },
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
