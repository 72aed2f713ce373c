"""What can go wrong between a caller and the queue."""


class JobQueueError(Exception):
    """Base of the package's errors."""


class ShardUnavailable(JobQueueError):
    """The master of a shard cannot be reached, or refuses to serve.

    Remedy: try again. Every script of this package may be repeated with the same arguments, so a repeat is safe
    even where the first one ran.

    Attributes:
        shard_index: which shard, None for the whole cluster.
        outcome_unknown: True where the command may have run all the same (its answer, or its replica's, is missing).
    """

    def __init__(self, message: str, *, shard_index: int | None = None, outcome_unknown: bool = False) -> None:
        super().__init__(message)
        self.shard_index = shard_index
        self.outcome_unknown = outcome_unknown


class NotPermitted(ShardUnavailable):
    """Redis refuses this program's user a command or a key: its users are older than the program.

    Remedy: write the users anew with this version's `python -m jobqueue.acl`, and have every server read them again
    (`ACL LOAD`). From then on all goes on by itself.
    """


class QueueFull(JobQueueError):
    """Redis has used 90 % or more of its memory, so no new job is taken; running and pulling jobs goes on.

    Remedy: pull results, wait until workers have caught up, or give Redis more memory.
    """


class LayoutMismatch(JobQueueError):
    """Redis holds records of another layout: another shard count, or a format newer than this program knows.

    Remedy: start the program's version that matches, or use another Redis.
    """
