"""API keys as records in Redis: what they are, where they are stored, and the table that requests are checked with.

A room of its own beneath `manager.http`, because the check of a request needs it.
"""
