"""Programs that end with the process that started them."""

import subprocess
import sys
from pathlib import Path

from processes import parent_death
from tests.processes import is_alive
from tests.waiting import until


def test_without_a_kernel_signal_a_watcher_kills_the_program(tmp_path: Path) -> None:
    # Systems other than Linux get the watcher; it runs on Linux, too.
    preamble = f"import sys; sys.platform = 'other'; sys.path.insert(0, {str(Path(parent_death.__file__).parent)!r}); "
    starter = (
        "import os, subprocess, sys, time\n"
        f"code = {preamble!r} + 'import parent_death; parent_death.main(sys.argv[1:])'\n"
        "child = subprocess.Popen([sys.executable, '-c', code, str(os.getpid()), '/bin/sleep', '60'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        until(lambda: Path(f"/proc/{pid}/exe").readlink().name != Path(sys.executable).resolve().name)
        process.kill()
        process.wait()
        until(lambda: not is_alive(pid), wanted="the program's end")
