"""Append-only files of the Redis servers: finds those that a server could not be started from, and has them rewritten.

`file_state` reads a server's INFO, `file_watch` decides. The cluster's reconciler uses them for its members. `keeper`
does the same for servers that no reconciler administers. docs/decisions/0013 has the reasons.
"""
