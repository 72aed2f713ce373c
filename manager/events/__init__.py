"""Changes of jobs on their way to the open streams of `/events` and `/jobs/{id}/events`.

`change_reader` follows one shard, `change_hub` fans out what comes, `job_watches` and `subscriptions` hold what streams
have not sent yet, `replay` reads what a stream has missed.
"""
