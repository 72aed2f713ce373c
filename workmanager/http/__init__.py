"""How the client speaks HTTP with managers: request bodies, failover and retries."""
