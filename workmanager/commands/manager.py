"""`workmanager manager`: run one manager. Replaces itself by `python -m manager` with the same arguments."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str]) -> NoReturn:
    os.execv(sys.executable, [sys.executable, "-m", "manager", *arguments])
