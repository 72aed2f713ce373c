"""`rq.get_current_job()` inside a job: RQ's own `Job`, whose record is read and written through the agent.

Imports RQ, so it is itself imported only in an executor whose functions do (`rq_support.py`).
"""

import threading
from typing import Any

from rq.job import Job
from rq.serializers import DefaultSerializer, JSONSerializer

from worker_node.executor.agent_client import AgentClient
from worker_node.ipc.protocol import MAX_META_BYTES, WRITABLE_FIELDS


class JobConnection:
    """Restricted stand-in for the Redis connection of RQ's `Job`: it reaches that job's own hash and nothing else."""

    def __init__(self, agent: AgentClient, sequence: int, job_id: str) -> None:
        self._agent = agent
        self._sequence = sequence
        self._key = Job.key_for(job_id)

    def hget(self, name: str, key: str) -> bytes | None:
        self._check(name, "hget")
        value: bytes | None = self._agent.query(self._sequence, "hget", key, b"")
        return value

    def hgetall(self, name: str) -> dict[bytes, bytes]:
        self._check(name, "hgetall")
        record: dict[bytes, bytes] = self._agent.query(self._sequence, "hgetall", "", b"")
        return record

    def hset(self, name: str, key: str | None = None, value: Any = None, mapping: dict[str, Any] | None = None) -> int:
        self._check(name, "hset")
        fields = dict(mapping or {}) if key is None else {key: value, **(mapping or {})}
        if not WRITABLE_FIELDS.issuperset(fields):
            raise _not_available(f"hset of {', '.join(sorted(fields))}")
        for field, content in fields.items():
            encoded = content if isinstance(content, bytes) else str(content).encode()
            if len(encoded) > MAX_META_BYTES:
                raise ValueError(f"the job's meta has {len(encoded)} bytes, the maximum is {MAX_META_BYTES}")
            self._agent.query(self._sequence, "hset", field, encoded)
        return 0

    def __getattr__(self, name: str) -> Any:
        if _is_special(name):  # `copy` and others ask which of Python's protocols an object supports.
            raise AttributeError(name)
        # Any other command of a Redis connection: a plain AttributeError would explain nothing to the job's author.
        raise _not_available(name)

    def _check(self, name: str, command: str) -> None:
        if name != self._key:
            raise _not_available(f"{command} {name}")


class CurrentJob(Job):
    """The running job. Loads its record when an attribute is first used: most jobs never need it."""

    def __init__(self, agent: AgentClient, sequence: int, job_id: str, *, pickled: bool) -> None:
        # Job.__init__ takes longer than a small job, so it runs on first use, when the record is loaded.
        self._id = job_id
        self._source = (agent, sequence, pickled)
        self._loading = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        # Called only for missing attributes: either the job is not loaded yet, or a job has no such attribute.
        attributes = self.__dict__
        if _is_special(name) or "_loading" not in attributes:  # An empty copy is asked whether it can be filled.
            raise AttributeError(name)
        with attributes["_loading"]:
            if "_loaded" not in attributes:
                # What the job's function has assigned before, such as a new `meta`, counts. Other threads of the job
                # that miss an attribute meanwhile wait for the lock.
                for attribute, value in self._load().__dict__.items():
                    attributes.setdefault(attribute, value)
                attributes["_loaded"] = True
        return object.__getattribute__(self, name)

    def _load(self) -> Job:
        agent, sequence, pickled = self.__dict__["_source"]
        job_id = self.__dict__["_id"]
        serializer = DefaultSerializer if pickled else JSONSerializer
        loaded = Job(job_id, connection=JobConnection(agent, sequence, job_id), serializer=serializer)  # type: ignore[arg-type]
        loaded.refresh()  # type: ignore[no-untyped-call]
        return loaded


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _not_available(what: str) -> RuntimeError:
    return RuntimeError(
        f"a job on this worker cannot use its Redis connection ({what}): only the job's own meta, save_meta, get_meta, "
        "refresh and get_status work here, because executors never see Redis; open a connection of your own instead"
    )
