"""The dashboard: pages for people, rendered by the manager (docs/dashboard.md).

`sampler.py` reads the queue once a second for all open pages, `views/` turns what was read into what a page shows,
`rendering.py` makes HTML of it, `routes.py` and `stream.py` answer browsers.
"""
