"""Fleets: the interface, local processes, and EC2."""
