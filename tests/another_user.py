"""Programs that run as a user without rights, for tests of what a user may do. Only root can start them so."""

import os
import shutil

UID = 65534
_CAPABILITY = "-all,+dac_read_search"
"""With it alone, the user finds the interpreter even if it is in a directory of root's."""
PREFIX = (
    *("setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"),
    *("--inh-caps", _CAPABILITY, "--ambient-caps", _CAPABILITY),
)
"""What stands before the command of such a program."""
REASON = "becomes another user, which needs root and setpriv (util-linux)"
IS_POSSIBLE = os.geteuid() == 0 and shutil.which("setpriv") is not None
