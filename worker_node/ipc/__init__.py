"""Inter-process communication: what the agent and its executor processes say to each other."""
