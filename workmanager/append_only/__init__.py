"""Append-only files of Redis and Valkey servers: repaired before a start, checked after a failed one.

`python -m workmanager.append_only DIRECTORY` repairs the files of the server that is about to start in that directory:

- After a power cut, a file can end in NULs, which are part of a write that was never synced. They are removed.
- After a full disk, a file can have gaps of NULs between two commands. They are removed; nothing is lost.

`python -m workmanager.append_only --check SERVER DIRECTORY` checks files that a server could not be started from.
SERVER is its program. Exit code 3: they cannot be read; a line on stderr says which one, and what to do.

`python -m workmanager.append_only --set-aside DIRECTORY` moves the files away, so that the server starts empty. Only
for a server whose data another one has.
"""
