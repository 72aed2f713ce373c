"""What INFO tells about a server's append-only file."""

from collections.abc import Mapping
from dataclasses import dataclass

SECTIONS = ("server", "persistence", "errorstats")
"""Of INFO, whose fields make up an `AppendOnlyState`."""


@dataclass(frozen=True, slots=True)
class AppendOnlyState:
    """A server's append-only file at one moment.

    Attributes:
        run_id: changes when the server is restarted.
        write_fails: the last write to the file failed, and has not been made up for.
        refused_writes: how many commands the server has refused since its start because it could not save. It tells of
            errors that came and went between two looks.
        snapshot_fails: the last snapshot (`save`, which this project switches off) failed: refuses commands, too.
        rewrites: how many rewrites have begun since its start.
        is_rewriting: a rewrite runs, or is about to.
        rewrite_failed: the last rewrite failed.
    """

    run_id: str
    write_fails: bool
    refused_writes: int
    snapshot_fails: bool
    rewrites: int
    is_rewriting: bool
    rewrite_failed: bool

    @classmethod
    def parse(cls, info: Mapping[str, str]) -> "AppendOnlyState | None":
        """Parse INFO's fields.

        Returns:
            None if the server has no append-only file, does not tell about it, or is older than Redis 7, which does not
            leave gaps in its file.
        """
        if info.get("aof_enabled") != "1" or "aof_rewrites" not in info:
            return None
        # `count=3`
        refused = info.get("errorstat_MISCONF", "count=0").partition("=")[2]
        return cls(
            run_id=info.get("run_id", ""),
            write_fails=info.get("aof_last_write_status") == "err",
            refused_writes=int(refused),
            snapshot_fails=info.get("rdb_last_bgsave_status") == "err",
            rewrites=int(info["aof_rewrites"]),
            is_rewriting=info.get("aof_rewrite_in_progress") == "1" or info.get("aof_rewrite_scheduled") == "1",
            rewrite_failed=info.get("aof_last_bgrewrite_status") == "err",
        )
