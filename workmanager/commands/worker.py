"""`workmanager worker`: becomes the program `python -m worker_node`, with the same arguments."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str]) -> NoReturn:
    os.execv(sys.executable, [sys.executable, "-m", "worker_node", *arguments])
