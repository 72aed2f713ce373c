"""A module with job functions, as an operator would register it."""

import os  # noqa: F401 - what a module imports is not its own
from collections.abc import Callable


def add(a: int, b: int) -> int:
    return a + b


def _private() -> None:
    pass


twice: Callable[[int], int] = lambda number: number * 2  # noqa: E731


class Counter:
    start = 1

    def __init__(self, count: int) -> None:
        self.count = count

    def plus(self, more: int) -> int:
        return self.count + more

    def __call__(self, more: int) -> int:
        return self.count - more

    def _hidden(self) -> int:
        return self.count

    @staticmethod
    def zero() -> int:
        return 0
