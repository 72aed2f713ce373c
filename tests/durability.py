"""Wait until a server's writes survive a kill of its process."""

from tests.waiting import until
from workmanager.local.valkey import ValkeyServer


def until_aof_written(server: ValkeyServer) -> None:
    """Wait until the server has written every acknowledged command to its append-only file.

    With `appendfsync everysec`, writes can wait for up to two seconds while earlier ones are synced to disk.
    """
    until(
        lambda: not server.command("INFO", "persistence")["aof_buffer_length"],
        wanted="an append-only file with all writes",
    )
