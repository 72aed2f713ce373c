"""Discrete-event simulation of autoscaling policies on recorded arrivals: ours and those of its peers."""
