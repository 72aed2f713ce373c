"""What is to be broken, when and for how long: all of it follows from a seed. Pure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

NAMED_STEPS_PAUSE_SECONDS = 2.0
_SHARES = (1.0, 1.0, 0.5, 0.15)
_LONGEST_CALM_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class FaultStep:
    """One fault.

    Attributes:
        seconds: how long what lasts is to last.
        calm_seconds: between the recovery from the fault before and this one.
        seed: of whatever the fault chooses, so that no choice depends on how many were made before.
    """

    fault: str
    duration_seconds: float
    pause_seconds: float
    seed: str


def named_steps(names: Sequence[str], seed: int, duration_seconds: float) -> Iterator[FaultStep]:
    """These faults in this order, each as long as told; the seed chooses whom they hit."""
    for number, name in enumerate(names):
        yield FaultStep(name, duration_seconds, NAMED_STEPS_PAUSE_SECONDS, f"{seed}:{number}")


def random_steps(names: Iterable[str], seed: int, duration_seconds: float) -> Iterator[FaultStep]:
    """All of them in an order by rng, then all of them in another, for ever.

    Half of them last as long as told; the others half as long, or so short that they end while the system finds out.
    """
    catalogue = sorted(names)
    numbers = itertools.count()
    for turn in itertools.count():
        for name in random.Random(f"{seed}:order:{turn}").sample(catalogue, len(catalogue)):
            number = next(numbers)
            rng = random.Random(f"{seed}:step:{number}")
            seconds = round(duration_seconds * rng.choice(_SHARES), 1)
            yield FaultStep(name, seconds, round(rng.uniform(0.0, _LONGEST_CALM_SECONDS), 1), f"{seed}:{number}")
