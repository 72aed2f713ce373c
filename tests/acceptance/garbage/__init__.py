"""Random garbage in Redis, while a manager and a worker run honest jobs."""
