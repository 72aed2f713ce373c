"""The program beside its peers: each module is one benchmark, `python -m benchmarks.NAME [--quick]`.

Figures go to stdout as JSON lines, a table to stderr. `harness` holds what the benchmarks share, `peers` the other
parties' side of it; `results` keeps the last figures, from which `publish` makes the tables and pictures.
"""
