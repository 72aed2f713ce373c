"""A manager's connection to a queue that it never reaches, for parts that read nothing from Redis."""

from manager.queue.connection import QueueConnection


def unconnected_queue() -> QueueConnection:
    """Return one that was not started."""

    async def ignore(_: object) -> None: ...

    return QueueConnection(
        "redis://127.0.0.1:1",
        1.0,
        on_connected=ignore,
        on_jobs_waiting=lambda: None,
        on_fatal_error=lambda _, __: None,
    )
