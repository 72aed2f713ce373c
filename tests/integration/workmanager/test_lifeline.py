"""The bond between a starter and its processes, both ends."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.waiting import until
from workmanager.lifeline import Lifeline, is_cut

_HOLDER = "import os, sys; os.read(int(sys.argv[1]), 1); sys.stdin.read()"


def test_its_holders_learn_of_the_cut_and_the_starter_of_their_end() -> None:
    lifeline = Lifeline()
    theirs = os.dup(lifeline.fd)
    command = [sys.executable, "-S", "-c", _HOLDER, str(theirs)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[theirs]) as holder:
        assert not is_cut(theirs)
        lifeline.cut()
        assert is_cut(theirs)
        os.close(theirs)
        assert not lifeline.wait_until_released(0.2)
        assert holder.stdin is not None
        holder.stdin.close()
        assert lifeline.wait_until_released(60)
    lifeline.close()


def test_a_starter_that_is_killed_cuts_it() -> None:
    starter_code = (
        "import subprocess, sys, time\n"
        "from workmanager.lifeline import Lifeline\n"
        "line = Lifeline()\n"
        "code = 'import os, sys; os.read(int(sys.argv[1]), 1); print(\"cut\", flush=True)'\n"
        "subprocess.Popen([sys.executable, '-S', '-c', code, str(line.fd)], pass_fds=[line.fd])\n"
        "print('started', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", starter_code], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        starter.kill()
        assert until(starter.stdout.readline) == "cut\n"
