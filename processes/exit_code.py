"""Exit codes in words."""

import signal


def describe_exit(code: int) -> str:
    """Return an exit code in readable form, such as `exit_code=3`; minus a signal's number as `signal=SIGSEGV`."""
    if code >= 0:
        return f"exit_code={code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"signal={name}" + (" (killed from outside, or out of memory)" if -code == signal.SIGKILL else "")
