"""Benchmarks of the program and of its peers: each module is one, `python -m benchmarks.NAME [--quick]`.

Figures go to stdout as JSON lines, a table to stderr. `harness` holds the shared parts and `peers` the programs that
run inside the peers' environments. `results` keeps the last figures; `publish` makes tables and charts from them.
"""
