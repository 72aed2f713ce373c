"""Errors of the queue. Each docstring says what happened and what to do."""


class JobQueueError(Exception):
    """Base of the package's errors."""


class ShardUnavailable(JobQueueError):
    """The master of a shard cannot be reached, or does not accept commands.

    Remedy: try again. Every script of this package may be repeated with the same arguments, even if the first call ran.

    Attributes:
        shard_index: index of the shard; None for the whole cluster.
        outcome_unknown: whether the command may have run: its reply, or its replication, is missing.
    """

    def __init__(self, message: str, *, shard_index: int | None = None, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.shard_index = shard_index
        self.outcome_unknown = outcome_unknown


class WrongDatabase(ShardUnavailable):
    """Redis does not let this program use the database that its URL names.

    Remedy: give a database that the server has. A Redis Cluster has only database 0.
    """


class NotPermitted(ShardUnavailable):
    """Redis denies this program's user a command or a key: the user has another role, or its users file is older than
    the program.

    Remedy: give the program the user of its role; or write the users file again with this version's
    `python -m jobqueue.acl`, and have every server load it (`ACL LOAD`). The program then recovers automatically.
    """


class FunctionMissing(ShardUnavailable):
    """A server does not have the functions that this program calls, and its user may run nothing else.

    Remedy: start a manager of this version with WORKMANAGER_CLUSTER_URL. The program then recovers automatically.
    """


class QueueFull(JobQueueError):
    """Redis has used 90 % or more of its memory, so new jobs are rejected. Running and pulling jobs still works.

    Remedy: pull results, wait until the workers have caught up, or give Redis more memory.
    """


class UnexpectedContent(JobQueueError):
    """Redis refused a command or a script, because a key that it needs holds something that this system never writes.

    Remedy: look at the key that the message names. A key of another type is set aside by the next script that needs it.
    """


class ChangedMeanwhile(JobQueueError):
    """Others change the same record at the same time.

    Remedy: try again.
    """


class LayoutMismatch(JobQueueError):
    """The queue in Redis has another number of shards, or a newer record format, than this program supports.

    Remedy: configure the same number of shards, start a newer version, or use another Redis.
    """
