"""A worker: one agent process, which alone talks to Redis, and one executor process per slot, which runs jobs.

- `agent`: starts, connects and drains everything below; `jobs_in_hand` is the path of a job through it.
- `shard_loops/`: the agent's loops over Redis, one of each per shard: claim, finish, heartbeat, commands.
- `slots/`: one job at a time each; keeps an executor process alive, kills it on a timeout, classifies outcomes.
- `ipc/`: the protocol between agent and executor.
- `executor/`: the child process; imports none of the agent's code.
- `shutdown/`: why and how a worker stops.
- `functions`: the built-in job functions. Job records name this module, so its path must not change.
"""
