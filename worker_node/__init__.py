"""What runs on a worker: the agent, which alone talks to Redis, and the executor processes, which run the jobs.

The agent claims jobs, hands them to `slot`s over the frames of `protocol`, and finishes them in batches. An
`executor` reads a job's record with `calls`, runs it, and reports back. `functions` holds the built-in jobs.
"""
