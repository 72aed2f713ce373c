"""Tokens (JWTs) of an issuer, which a manager takes beside API keys: what they say, and how they are verified.

A room of its own beneath `manager.http`, because the check of a request needs it. Managers without an issuer import
`errors.py` and `issuer.py` alone: the rest needs joserfc and httpx.
"""
