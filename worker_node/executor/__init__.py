"""The executor: the child process that runs jobs. It imports none of the agent's code and never sees Redis."""
