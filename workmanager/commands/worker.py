"""`workmanager worker`: run one worker. Replaces itself by `python -m worker_node` with the same arguments."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str]) -> NoReturn:
    os.execv(sys.executable, [sys.executable, "-m", "worker_node", *arguments])
