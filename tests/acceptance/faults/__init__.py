"""Fault injection: the whole system on separate hosts under load, broken at random, with a checker of every result.

`python -m tests.acceptance.faults --seconds 600 --seed 7` injects random faults, prints what it does, and at the end
prints how many jobs were acknowledged, lost, doubled or wrong. The same seed breaks the same things again. Hosts are
network namespaces, so it needs root.
"""
