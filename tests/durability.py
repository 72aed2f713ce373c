"""What a server that is killed still has when it starts again."""

from __future__ import annotations

from tests.waiting import until
from workmanager.local.valkey import ValkeyServer


def until_aof_written(server: ValkeyServer) -> None:
    """Returns when all that was answered stands in the server's file, where a kill leaves it.

    While an earlier write is synced, later ones wait, for up to two seconds (`appendfsync everysec`).
    """
    until(lambda: not server.command("INFO", "persistence")["aof_buffer_length"], wanted="writes in the file")
