"""The queue itself: RQ's records on Redis Cluster shards, moved by Lua scripts over whole batches.

The way of a job: `enqueue` writes it, `claim` leases it to a worker, `finish` records its end, `pull` hands its
result out; `leases`, `maintenance` and `control` (cancel, requeue, delete) care for what goes another way.
"""
