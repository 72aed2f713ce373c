"""Launches and drains workers as the queue demands.

`loop` runs in every manager and lets one of them act; `policy` decides, purely; a fleet (`local`) carries it out.
"""
