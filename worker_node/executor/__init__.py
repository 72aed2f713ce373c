"""The executor: the child process that runs jobs. It imports nothing of the agent's and never sees Redis."""
