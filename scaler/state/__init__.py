"""The scaler's state in Redis: instances and intents, the leader lease, operator overrides, the launch breaker."""
