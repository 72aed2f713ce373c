"""A job in the hands of a worker."""

from typing import NamedTuple


class RqCallback(NamedTuple):
    """A function that a plain RQ client wants to be called at its job's end (`rq.Callback`).

    Attributes:
        name: import path of the function.
        timeout_seconds: how long it may run.
    """

    name: str
    timeout_seconds: int


class RqCallbacks(NamedTuple):
    """The callbacks of a job; None for those that it does not have."""

    on_success: RqCallback | None
    on_failure: RqCallback | None
    on_stopped: RqCallback | None


class ClaimedJob(NamedTuple):
    """A job that a worker holds a lease on. Hot path: hence no dataclass, whose creation takes twice as long.

    Attributes:
        token: identifies the lease; it is RQ's execution id.
        shard_index: the shard that holds the job.
        data: RQ's `data` field, unchanged: plain or zlib-compressed, JSON or pickle.
        timeout_seconds: None for no limit.
        from_http: whether it was submitted over HTTP; otherwise by a plain RQ client.
        feed: whether its result goes into the completed feed, to be pulled.
        result_ttl_seconds, failure_ttl_seconds: -1 keeps forever, 0 keeps nothing.
        attempt: 1 for the first run.
        unreadable: why the record cannot be read, so that the job must fail as `rejected`; None if it can.
        isolated: whether it asks for a process of its own.
        rq_features: what it asks for at its end as a job of a plain RQ client, a letter for each thing: `d`, it has
            waited for other jobs; `g`, it belongs to a group; `l`, it holds a place of a rate limit; `r`, it repeats;
            `w`, it has webhooks; `a`, it was lost too often, see `is_abandoned`.
        rq_callbacks: what is called at its end; None for nothing.
        stopped: whether it has been stopped already, and only its `on_stopped` callback is still to be called.
        since: when it was enqueued; of a job that has run before, a space and when it was created follow. As stored.
        trace: the span of its submission, as stored, and a line for each run of a parent that it follows from: the
            parent's id, the token of the lease, and the span of the parent's submission. b'' for none.
    """

    id: str
    token: str
    shard_index: int
    queue: str
    data: bytes
    timeout_seconds: int | None
    from_http: bool
    feed: bool
    result_ttl_seconds: int
    failure_ttl_seconds: int
    attempt: int
    unreadable: str | None = None
    isolated: bool = False
    rq_features: str = ""
    rq_callbacks: RqCallbacks | None = None
    stopped: bool = False
    since: bytes = b""
    trace: bytes = b""

    @property
    def is_abandoned(self) -> bool:
        """Whether it was lost with its worker too often: only its `on_failure` callback is still to be called."""
        return "a" in self.rq_features
