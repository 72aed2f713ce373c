"""The queue as HTTP requests use it: batched, and protected from shards that do not answer.

`service` composes the parts, `connection` opens it when Redis can be reached. `submitter`, `puller` and
`job_operations` change jobs and share script calls through `group_commit`; `long_poll` and `overview` only read.
"""
