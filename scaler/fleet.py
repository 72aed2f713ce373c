"""What the loop asks of whatever the workers run on: processes on this machine, or EC2 instances."""

from collections.abc import Sequence
from typing import Protocol


class Fleet(Protocol):
    """A source of workers.

    Attributes:
        name: what its workers give as their fleet when they register.
    """

    name: str

    async def launch(self, instance_ids: Sequence[str]) -> None:
        """Starts a worker for each id; each registers in the queue with its id. Repeated ids start nothing new."""

    async def discard(self, instance_ids: Sequence[str]) -> None:
        """Ends what was launched under these ids and never registered."""

    async def close(self) -> None:
        """Lets go of what this process started, so that nothing is left behind."""
