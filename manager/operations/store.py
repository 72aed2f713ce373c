"""Operations in Redis, on the first shard. A manager works on one under a lease; if it dies, another goes on."""

import json
from collections.abc import Sequence

from jobqueue import keys
from jobqueue.audit import Author, author_argument
from jobqueue.sharding.scripts import script
from jobqueue.sharding.shard import Shard
from jobqueue.stored_values import name_of, record_of, text_of
from jobqueue.timestamps import clock_argument, iso
from manager.operations.operation import Operation, request_of

MAX_OPEN = 100
"""How many operations may not have ended."""
KEPT_SECONDS = 7 * 24 * 3600
"""How long an operation is kept after its end."""
LISTED_SECONDS = 30 * 24 * 3600
LEASE_SECONDS = 15.0
"""A manager that has not saved a step for so long has lost the operation to another one."""


async def create_operation(shard: Shard, operation: Operation, author: Author) -> str:
    """Write a new operation.

    Returns:
        'created', 'repeated' (there is one with the id, for the same in the same queues), 'conflict' (for something
        else), or 'full'.

    Raises:
        ShardUnavailable: try again.
    """
    request = json.dumps(request_of(operation.action, operation.filter, dry_run=operation.dry_run), sort_keys=True)
    fields = ("created_at", operation.created_at, "actor", operation.actor)
    answer = await shard.run(
        script("create_operation"),
        *("", operation.id, request, MAX_OPEN, LISTED_SECONDS, author_argument(author)),
        *("\n".join(operation.queues), *fields),
        replicate=True,
    )
    return text_of(answer)


async def read_operation(shard: Shard, operation_id: str) -> Operation | None:
    """Return an operation; None if it does not exist.

    Raises:
        ShardUnavailable: try again.
    """
    (flat,) = await shard.execute(("HGETALL", keys.operation(shard.prefix, operation_id)), tolerate_wrong_types=True)
    return Operation.from_fields(operation_id, record_of(flat))


async def list_operations(shard: Shard, limit: int) -> list[Operation]:
    """Return operations, the latest first.

    Raises:
        ShardUnavailable: try again.
    """
    (found,) = await shard.execute(
        ("ZRANGE", keys.operations(shard.prefix), 0, limit - 1, "REV"), tolerate_wrong_types=True
    )
    ids = [name_of(operation_id) for operation_id in found or ()]
    commands = [("HGETALL", keys.operation(shard.prefix, operation_id)) for operation_id in ids]
    hashes = await shard.execute(*commands, tolerate_wrong_types=True) if commands else []
    read = [Operation.from_fields(id_, record_of(flat)) for id_, flat in zip(ids, hashes, strict=True)]
    return [operation for operation in read if operation is not None]


async def cancel_operation(shard: Shard, operation_id: str, author: Author) -> str:
    """Let an operation end after the step that it is in; return 'missing', 'ended' or 'canceling'.

    Raises:
        ShardUnavailable: try again.
    """
    arguments = (operation_id, author_argument(author))
    return text_of(await shard.run(script("cancel_operation"), *arguments, replicate=True))


async def claim_operation(shard: Shard, token: str, *, now: float | None = None) -> tuple[str, Operation | None] | None:
    """Lease the oldest operation that nobody works on.

    Returns:
        Its id, and the operation (None if it cannot be read); None if there is none.

    Raises:
        ShardUnavailable: try again.
    """
    answer: Sequence[bytes | Sequence[bytes]] = await shard.run(
        script("claim_operation"), clock_argument(now), iso(now), token, LEASE_SECONDS
    )
    if not answer:
        return None
    id_, flat = answer
    assert isinstance(id_, bytes)
    assert not isinstance(flat, bytes)
    return name_of(id_), Operation.from_fields(name_of(id_), record_of(flat))


async def drop_operation(shard: Shard, operation_id: str) -> None:
    """Let nobody work on an operation any more.

    Raises:
        ShardUnavailable: try again.
    """
    await shard.execute(("ZREM", keys.open_operations(shard.prefix), operation_id))


async def save_operation(
    shard: Shard,
    operation: Operation,
    token: str,
    *,
    ended: str = "",
    lease_seconds: float = LEASE_SECONDS,
    now: float | None = None,
) -> str:
    """Save how far an operation has come.

    Args:
        ended: its status if it has ended; 'released' if any manager may go on with it after `lease_seconds`.

    Returns:
        'saved', 'canceling' (it is to end), or 'lost' (another manager has it; nothing was saved).

    Raises:
        ShardUnavailable: try again.
    """
    fields = [part for pair in operation.progress.to_fields().items() for part in pair]
    lease = (operation.id, token, lease_seconds, ended, KEPT_SECONDS)
    return text_of(
        await shard.run(script("save_operation"), clock_argument(now), iso(now), *lease, *fields, replicate=True)
    )
