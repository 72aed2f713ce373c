"""What a manager knows of its other processes. Most managers have one process, and nothing to know."""

from collections.abc import Callable
from typing import Any

from manager.metrics.counted import Counted
from manager.siblings.channel import ANSWER_SECONDS, Answerer, NoAnswer


class ProcessGroup:
    """A manager of one process.

    Attributes:
        answerers: what answers other processes' questions, by their names; parts of the manager add theirs.
        is_sibling: this is not the main process.
        size: processes, with this one.
        on_main_gone: called in a sibling when the main process has ended.
    """

    is_sibling = False
    size = 1

    def __init__(self) -> None:
        self.answerers: dict[str, Answerer] = {}
        self.on_main_gone: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Start, once this process listens."""

    def stop_others(self) -> None:
        """Have the siblings stop, if this is the main process."""

    async def close(self) -> None:
        """Wait until the siblings have ended, if this is the main process, and close the channels."""

    async def counted_by_others(self) -> Counted:
        """Return what the siblings have counted since this process started, also those that have ended."""
        return Counted()

    async def ask_main(self, question: str, about: object = None, seconds: float = ANSWER_SECONDS) -> Any:
        """Return the main process's answer, as JSON.

        Raises:
            NoAnswer: it does not answer.
        """
        raise NoAnswer(f"{question}: this is the main process")
