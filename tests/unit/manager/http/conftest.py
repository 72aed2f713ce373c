"""These tests run on the event loop of managers."""

from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], uvloop.Loop]]:
    """Tell pytest-asyncio which event loop to use."""
    return {"uvloop": uvloop.new_event_loop}
