"""What the benchmarks share: servers and programs under test, load, contests, reports."""
