"""The peers: how each runs its program of `benchmarks/peers` and its worker, and counts its finished jobs.

Each runs one worker process, with results kept, in the fastest configuration that its documentation gives for many
short jobs.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import redis

from benchmarks.harness.environments import ARQ, BULLMQ, CELERY, DRAMATIQ, HUEY, RQ, Environment
from benchmarks.harness.measured_programs import ROOT

PEER_APPS = ROOT / "benchmarks" / "peers"


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer.

    Attributes:
        app: the command of its program in `benchmarks/peers`, without the arguments.
        worker_command: returns the command that runs the jobs that are queued on the Redis at a URL.
        environ: returns the environment variables of both commands, from that URL.
        count_finished: returns the number of results in Redis.
        expected_rate: rough jobs/s, which sets the size of a run.
    """

    name: str
    environment: Environment
    app: Sequence[str]
    worker_command: Callable[[str], Sequence[str]]
    count_finished: Callable[[redis.Redis], int]
    expected_rate: int
    environ: Callable[[str], Mapping[str, str]] = field(default=lambda _: {"PYTHONPATH": str(PEER_APPS)})

    def app_command(self, verb: str, url: str, number: int) -> Sequence[str]:
        """Return the command of a verb (`benchmarks/peers/README.md`), such as `fill`, on the Redis at `url`."""
        return (*self.app, verb, url, str(number))


def all_peers() -> tuple[Peer, ...]:
    """Return every peer."""
    return (_rq(), _celery(), _dramatiq(), _huey(), _bullmq())


def waited_for_peers() -> tuple[Peer, ...]:
    """Return every peer, as it is set up if a client waits for single jobs."""
    huey = replace(_huey(), environ=lambda url: {**_url_in("HUEY_APP_URL")(url), "HUEY_APP_NOTIFY": "1"})
    return (_rq(), _celery(), _dramatiq(), huey, _bullmq(), _arq())


def _arq() -> Peer:
    return Peer(
        "arq",
        ARQ,
        app=_python_app(ARQ, "arq_app"),
        worker_command=lambda _: (ARQ.program("arq"), "arq_app.WorkerSettings"),
        count_finished=lambda client: len(client.keys("arq:result:*")),
        expected_rate=500,
        environ=_url_in("ARQ_APP_URL"),
    )


def forking_rq() -> Peer:
    """Return RQ's default worker, which forks for each job."""
    options = ("--quiet", "--disable-job-desc-logging")
    return replace(
        _rq(),
        name="rq Worker",
        worker_command=lambda url: (RQ.program("rq"), "worker", *options, "--url", url, "default"),
        expected_rate=40,
    )


def _python_app(environment: Environment, name: str) -> tuple[str, str]:
    return environment.python, str(PEER_APPS / f"{name}.py")


def _url_in(variable: str) -> Callable[[str], Mapping[str, str]]:
    return lambda url: {"PYTHONPATH": str(PEER_APPS), variable: url}


def _rq() -> Peer:
    options = ("--worker-class", "rq.SimpleWorker", "--quiet", "--disable-job-desc-logging")
    return Peer(
        "rq SimpleWorker",
        RQ,
        app=_python_app(RQ, "rq_app"),
        worker_command=lambda url: (RQ.program("rq"), "worker", *options, "--url", url, "default"),
        count_finished=lambda client: client.zcard("rq:finished:default"),
        expected_rate=400,
    )


def _celery() -> Peer:
    options = ("--pool", "solo", "--loglevel", "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat")
    return Peer(
        "celery",
        CELERY,
        app=_python_app(CELERY, "celery_app"),
        worker_command=lambda _: (CELERY.program("celery"), "--app", "celery_app", "worker", *options),
        # One key per result; the broker itself has only a handful.
        count_finished=lambda client: client.dbsize(),
        expected_rate=1_100,
        environ=_url_in("CELERY_APP_URL"),
    )


def _dramatiq() -> Peer:
    return Peer(
        "dramatiq",
        DRAMATIQ,
        app=_python_app(DRAMATIQ, "dramatiq_app"),
        worker_command=lambda _: (DRAMATIQ.program("dramatiq"), "dramatiq_app", "--processes", "1", "--threads", "8"),
        # One key per result; the broker itself has only a handful.
        count_finished=lambda client: client.dbsize(),
        expected_rate=1_900,
        environ=_url_in("DRAMATIQ_APP_URL"),
    )


def _huey() -> Peer:
    options = ("--workers", "4", "--worker-type", "thread", "--quiet", "--no-periodic")
    return Peer(
        "huey",
        HUEY,
        app=_python_app(HUEY, "huey_app"),
        worker_command=lambda _: (HUEY.program("huey_consumer"), "huey_app.huey", *options),
        count_finished=lambda client: client.hlen("huey.results.side"),
        expected_rate=5_600,
        environ=_url_in("HUEY_APP_URL"),
    )


def _bullmq() -> Peer:
    app = (shutil.which("node") or "node", str(PEER_APPS / "bullmq_app.cjs"))
    return Peer(
        "bullmq",
        BULLMQ,
        app=app,
        worker_command=lambda url: (*app, "work", url, "100"),
        count_finished=lambda client: client.zcard("bull:side:completed"),
        expected_rate=14_000,
        environ=lambda _: {"NODE_PATH": str(BULLMQ.directory / "node_modules")},
    )
