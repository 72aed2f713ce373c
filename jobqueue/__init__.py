"""The job queue: RQ's records on the shards of a Redis Cluster, changed by Lua scripts that handle whole batches.

The life of a job is in `lifecycle`: `enqueue` writes it, `claim` leases it to a worker, `finish` records its outcome,
and `pull` hands out its result. `leases`, `control` (cancel, requeue, delete) and `maintenance` handle everything else.
"""
