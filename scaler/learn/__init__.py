"""Estimators: service times, boot time, and the value of each worker. Production and simulation share them."""
