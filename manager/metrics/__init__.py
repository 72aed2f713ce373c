"""Prometheus metrics: what this manager does, what it sees, and, on one manager, the state of the whole queue."""
