"""Shared parts of the benchmarks: servers and programs under test, load, comparisons, reports, charts."""
