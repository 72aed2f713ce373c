"""Plans which faults are injected, when and for how long. Pure: everything follows from the seed."""

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

NAMED_STEPS_PAUSE_SECONDS = 2.0
DURATION_SHARES = (1.0, 1.0, 0.5, 0.15)
MAX_PAUSE_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class FaultStep:
    """One fault of the plan.

    Attributes:
        duration_seconds: how long a lasting fault lasts.
        pause_seconds: time between the recovery from the previous fault and this one.
        seed: seed of the fault's own choices, so that they do not depend on earlier choices.
    """

    fault: str
    duration_seconds: float
    pause_seconds: float
    seed: str


def named_steps(names: Sequence[str], seed: int, duration_seconds: float) -> Iterator[FaultStep]:
    """Yield these faults in this order, each of this duration; the seed chooses their targets."""
    for number, name in enumerate(names):
        yield FaultStep(name, duration_seconds, NAMED_STEPS_PAUSE_SECONDS, f"{seed}:{number}")


def random_steps(names: Iterable[str], seed: int, duration_seconds: float) -> Iterator[FaultStep]:
    """Yield all faults in a random order, then all in another, without end.

    Half of them have this duration. The others last half as long, or so short that they end before they are noticed.
    """
    catalogue = sorted(names)
    numbers = itertools.count()
    for turn in itertools.count():
        for name in random.Random(f"{seed}:order:{turn}").sample(catalogue, len(catalogue)):
            number = next(numbers)
            rng = random.Random(f"{seed}:step:{number}")
            seconds = round(duration_seconds * rng.choice(DURATION_SHARES), 1)
            yield FaultStep(name, seconds, round(rng.uniform(0.0, MAX_PAUSE_SECONDS), 1), f"{seed}:{number}")
