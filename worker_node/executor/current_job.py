"""`rq.get_current_job()` inside a job: RQ's own `Job`, whose record is read and written through the agent."""

import socket
import threading
from typing import Any

from rq.job import Job
from rq.serializers import DefaultSerializer, JSONSerializer

from worker_node.ipc import protocol
from worker_node.ipc.protocol import WRITABLE_FIELDS


class AgentClient:
    """The executor's line to the agent, over which jobs ask for their own record: one question at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def query(self, sequence: int, verb: str, field: str, value: bytes) -> Any:
        """Asks about the job of the task `sequence` and waits for the answer.

        Raises:
            RuntimeError: the agent refused (the job is not running any more, Redis is away) or is gone.
        """
        with self._lock:
            self._connection.sendall(protocol.pack([sequence, verb, field, value]))
            answer = protocol.read_frame(self._connection)
        if answer is None:
            raise RuntimeError("the worker's agent is gone, so the job's record cannot be reached")
        ok, content = answer
        if not ok:
            raise RuntimeError(content)
        return content


class JobConnection:
    """Stands where RQ's `Job` has its Redis connection, and reaches that job's own hash only."""

    def __init__(self, line: AgentClient, sequence: int, job_id: str) -> None:
        self._line = line
        self._sequence = sequence
        self._key = Job.key_for(job_id)

    def hget(self, name: str, key: str) -> bytes | None:
        self._check(name, "hget")
        value: bytes | None = self._line.query(self._sequence, "hget", key, b"")
        return value

    def hgetall(self, name: str) -> dict[bytes, bytes]:
        self._check(name, "hgetall")
        record: dict[bytes, bytes] = self._line.query(self._sequence, "hgetall", "", b"")
        return record

    def hset(self, name: str, key: str | None = None, value: Any = None, mapping: dict[str, Any] | None = None) -> int:
        self._check(name, "hset")
        fields = dict(mapping or {}) if key is None else {key: value, **(mapping or {})}
        if not WRITABLE_FIELDS.issuperset(fields):
            raise _unreachable(f"hset of {', '.join(sorted(fields))}")
        for field, content in fields.items():
            self._line.query(
                self._sequence, "hset", field, content if isinstance(content, bytes) else str(content).encode()
            )
        return 0

    def __getattr__(self, name: str) -> Any:
        # Whatever else Redis offers: without this the job would see an AttributeError that explains nothing.
        raise _unreachable(name)

    def _check(self, name: str, command: str) -> None:
        if name != self._key:
            raise _unreachable(f"{command} {name}")


class CurrentJob(Job):
    """The job that runs, loaded from its record when anything of it is first used: most jobs never ask."""

    def __init__(self, line: AgentClient, sequence: int, job_id: str, *, pickled: bool) -> None:
        # Job.__init__ costs more than a small job does, so it waits for the first use, as the record does.
        self._id = job_id
        self._source = (line, sequence, pickled)
        self._loading = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        # Runs only for attributes that are not there, which means that the job is not loaded yet.
        attributes = self.__dict__
        with attributes["_loading"]:
            if "connection" not in attributes:
                # All at once, since the job's threads may look at it meanwhile.
                attributes.update(self._load().__dict__)
        return object.__getattribute__(self, name)

    def _load(self) -> Job:
        line, sequence, pickled = self.__dict__["_source"]
        job_id = self.__dict__["_id"]
        serializer = DefaultSerializer if pickled else JSONSerializer
        loaded = Job(job_id, connection=JobConnection(line, sequence, job_id), serializer=serializer)  # type: ignore[arg-type]
        loaded.refresh()  # type: ignore[no-untyped-call]
        return loaded


def _unreachable(what: str) -> RuntimeError:
    return RuntimeError(
        f"a job on this worker cannot use its Redis connection ({what}): only the job's own meta, save_meta, get_meta, "
        "refresh and get_status work here, because executors never see Redis; open a connection of your own instead"
    )
