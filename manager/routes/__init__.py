"""The routes. The hot ones (`enqueue`, `pull`, `acknowledge`) and `batch` are plain ASGI handlers."""
