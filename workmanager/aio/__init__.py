"""The Python client for asyncio."""

from workmanager.aio.client import AsyncClient
from workmanager.aio.handles import AsyncJobHandle

__all__ = ["AsyncClient", "AsyncJobHandle"]
