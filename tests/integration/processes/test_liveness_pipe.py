"""Both sides of the liveness pipe."""

import os
import subprocess
import sys

from processes.liveness_pipe import LivenessPipe, parent_is_gone
from tests.waiting import until

_HOLDER = "import os, sys; os.read(int(sys.argv[1]), 1); sys.stdin.read()"


def test_children_see_the_pipe_close_and_the_starter_sees_them_end() -> None:
    pipe = LivenessPipe()
    inherited = os.dup(pipe.fd)
    command = [sys.executable, "-S", "-c", _HOLDER, str(inherited)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[inherited]) as holder:
        assert not parent_is_gone(inherited)
        pipe.close_write_end()
        assert parent_is_gone(inherited)
        os.close(inherited)
        assert not pipe.wait_until_children_exit(0.2)
        assert holder.stdin is not None
        holder.stdin.close()
        assert pipe.wait_until_children_exit(60)
    pipe.close()


def test_killing_the_starter_closes_the_pipe() -> None:
    starter_code = (
        "import subprocess, sys, time\n"
        "from processes.liveness_pipe import LivenessPipe\n"
        "line = LivenessPipe()\n"
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
