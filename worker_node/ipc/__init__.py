"""Inter-process communication: the protocol between the agent and its executor processes."""
