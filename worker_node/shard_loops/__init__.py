"""The agent's loops over Redis, one of each per shard: claim, finish, heartbeat, commands."""
