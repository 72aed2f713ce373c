"""HTTP routes, one module per resource.

`enqueue`, `pull` and `batch` are plain ASGI handlers, see `fast_path`. The others are FastAPI routes.
"""
