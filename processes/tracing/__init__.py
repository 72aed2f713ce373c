"""Traces: which span a job belongs to, and how spans reach a collector (docs/tracing.md)."""
